"""What is measured and recorded of all that: metrics, traces, HEP."""
