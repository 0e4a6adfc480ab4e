"""Between Kamailio and the decisions: reads messages, carries actions out.  The only place that knows KSR."""
