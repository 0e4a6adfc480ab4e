"""Redis, from its Ansible role, without anything on disk."""

import socket

from tests.lab.ports import LOOPBACK
from tests.lab.site import Site


def start(site: Site) -> None:
    config = site.render(
        "redis",
        "redis.conf.j2",
        {
            "redis_address": LOOPBACK,
            "redis_port": site.plan.redis,
            "redis_data_dir": str(site.folder("redis")),
            "redis_append_only": False,
            "redis_max_memory_mb": 64,
        },
    )
    site.processes.spawn("redis", ["redis-server", str(config)], cwd=site.run_dir)


def ready(site: Site) -> bool:
    with socket.create_connection((LOOPBACK, site.plan.redis), 1) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(64).startswith(b"+PONG")
