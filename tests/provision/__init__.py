"""Provisioning of real machines: Debian with its service manager, in namespaces of its own, by our playbooks."""
