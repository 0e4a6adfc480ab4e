"""Fuzzing of everything that reads what others write: small targets, kept inputs, and how long hostile ones take."""
