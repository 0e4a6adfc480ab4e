"""Requests and responses inside the dialog that offer nothing: translated from one side to the other."""
