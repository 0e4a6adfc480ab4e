"""What the web API keeps in Redis, one store for each noun.  Knows keys, scripts and JSON; decides nothing about HTTP.

Names of keys: kemi/state/keys.py.  Times are arguments (seconds since the epoch); only the ends of keys run by the
clock of Redis.
"""
