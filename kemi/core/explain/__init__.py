"""Why did this call fail, or why is there no sound?  Verdicts on a call's trace (kemi/core/trace/entries.py)."""
