"""A lab network of real kernels and one machine, without root. `LabNetwork` is the way in.

    network      LabNetwork: up, down, cut, restore, counts
    host         a host; and program, what runs there
    plan         who is there, and how they are joined
    forwarder    the wires: profile, priority, NAT, capture
    helper       makes the lab; and keeper, the process that keeps it
    ways         one link: what happens to a packet on it; with nat and priority
    namespaces, device, messages, punctual, support      its parts

It runs on Linux. On other systems, and where Linux does not let ordinary users have namespaces,
`labkit.live.relay` does the same to one port.
"""

from labkit.live.link.host import Host
from labkit.live.link.network import LabNetwork
from labkit.live.link.program import Program
from labkit.live.link.ways import Counts

__all__ = ["Counts", "Host", "LabNetwork", "Program"]
