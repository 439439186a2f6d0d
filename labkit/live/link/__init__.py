"""A lab network of real kernels and one machine, without root. `LabNetwork` is the way in.

    network      LabNetwork: up, down, cut, restore, counts
    host         what runs at a host
    plan         who is there, and how they are joined
    forwarder    the wires: profile, priority, NAT, capture
    helper       the process that keeps it all
    ways         one link: what happens to a packet on it; with nat and priority
    namespaces, device, messages, punctual, support      its parts

It runs on Linux. On other systems, and where Linux does not let ordinary users have namespaces,
`labkit.live.relay` does the same to one port.
"""

from labkit.live.link.host import Host, Program
from labkit.live.link.network import LabNetwork
from labkit.live.link.ways import Counts

__all__ = ["Counts", "Host", "LabNetwork", "Program"]
