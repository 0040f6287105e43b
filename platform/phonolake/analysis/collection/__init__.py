"""What the lake holds: at a glance, as a map, by splits and licences, and what sounds like what."""
