"""Real time: sockets, sound cards and the event loop. Thin and dull; never imports `labkit.sim`."""
