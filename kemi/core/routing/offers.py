"""All places where one call may be tried get the same offer, which is made once: they need the same media profile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from kemi.core.routing.table import Route, TableError, Target


class OneOffer:
    """Checks the rows of a table as they pass."""

    def __init__(self, groups: Mapping[str, Sequence[str]], trunks: Mapping[str, str]) -> None:
        """``trunks``: the media profile of each trunk; raise TableError for a group that mixes them."""
        self._of_group: dict[str, str] = {}
        for name, members in groups.items():
            profiles = {trunks[trunk] for trunk in members}
            if len(profiles) > 1:
                shown = ", ".join(sorted(profile or "the default" for profile in profiles))
                raise TableError([f"trunk group {name!r}: its trunks have different media profiles: {shown}"])
            self._of_group[name] = profiles.pop() if profiles else ""
        self._seen: dict[int, tuple[str, str]] = {}

    def checked(self, routes: Iterable[Route]) -> Iterator[Route]:
        """Pass the rows on; raise TableError for one that competes with another one and has another profile."""
        for route in routes:
            if self._of_group and route.to in (Target.TRUNK, Target.CORE):
                self._check(route)
            yield route

    def _check(self, route: Route) -> None:
        profile = route.profile or (self._of_group[route.name] if route.to is Target.TRUNK else "")
        key = hash((route.realm, route.user_class, route.number))
        rival, other = self._seen.setdefault(key, (route.id, profile))
        if other != profile:
            problem = f"has another media profile than row {rival!r}, which is for the same number"
            raise TableError([f"row {route.id!r}: {problem}"])
