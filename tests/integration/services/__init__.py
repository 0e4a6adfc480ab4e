"""What goes on around a call: transfers, bodies of several parts, supplementary services, requests that do not fit."""
