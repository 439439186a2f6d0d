"""Which pairs of NATs let a hole be punched, and what is in the way of the others (week 9).

The argument takes three steps. A peer is told the address under which the STUN server has seen
the other one. With endpoint-independent mapping this is also how its peer will see it; with any
other it is not, for its NAT takes another port towards the peer. So:

1. Both mappings are independent: each knows where to send, and its own sending opens its filter.
2. One is not: its host knows where to send, but is seen from a port that nobody has named. The
   filter of the other NAT must not look at ports; then the other host sees that port and uses it.
3. Neither is: the named ports stand for the STUN server. One filter must let in strangers there,
   for a beginning; no filter may look at ports; and one mapping must not either, or each answer
   comes from yet another port.

This module tries nothing: `labkit.core.holepunch` does, and a test holds the two together.
"""

from labkit.core.nat import Behaviour, Dependence


def obstacle(one: Behaviour, other: Behaviour) -> str:
    """Why no hole can be punched between hosts behind these two NATs; empty if one can.

    The two are NATs of their own, the STUN server is at another host than either, and no port is
    guessed.
    """
    both = one, other
    dependent = [b for b in both if b.mapping is not Dependence.INDEPENDENT]
    if not dependent:
        return ""
    if len(dependent) == 1:
        independent = next(b for b in both if b not in dependent)
        if independent.filtering is Dependence.PORT:
            return "one takes a port that nobody has named, and the other looks at ports"
        return ""
    if all(b.filtering is not Dependence.INDEPENDENT for b in both):
        return "both take ports that nobody has named, and neither lets strangers in"
    if any(b.filtering is Dependence.PORT for b in both):
        return "one can begin, but the answer comes from a port at which the other looks"
    if all(b.mapping is Dependence.PORT for b in both):
        return "both take a new port for each answer, and so on without end"
    return ""
