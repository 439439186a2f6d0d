"""A link between two machines: one `Impairment` for each direction of a profile.

This module knows neither the machines nor when anything arrives; the `World` does.
"""

from labkit.core.impairment import UDP_HEADERS, Impairment
from labkit.resources import load_delays
from labkit.words.linkspec import LinkSpec
from labkit.words.profile import Profile

CLEAR = Profile("clear", "nothing happens", "", LinkSpec(), LinkSpec())
"""The link without a profile: no delay and no loss."""


class Link:
    """`up` carries what the first machine of `World.connect` sends, `down` what the second does.

    The same profile and seed make the same decisions for the same packets, here and in every
    other engine.
    """

    def __init__(
        self,
        profile: Profile | None,
        seed: int | str,
        *,
        headers: int = UDP_HEADERS,
        start: int = 0,
    ) -> None:
        self.profile = profile or CLEAR
        self.up = self._direction("up", seed, headers, start)
        self.down = self._direction("down", seed, headers, start)

    def _direction(self, name: str, seed: int | str, headers: int, start: int) -> Impairment:
        spec: LinkSpec = getattr(self.profile, name)
        delays = load_delays(spec.delay_trace) if spec.delay_trace else ()
        return Impairment(spec, f"{seed} {name}", delays, headers=headers, start=start)
