"""The media of a running session: who hears whom, pictures, digits, and when they are lost."""
