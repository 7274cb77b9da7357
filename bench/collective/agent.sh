#!/bin/sh
# How mpirun starts its daemons in network.ts, "agent.sh HOST COMMAND…", where otherwise it would log in by ssh: the last number of
# the host's address is that of its network namespace.
space=hirec-${1##*.}
shift
exec ip netns exec "$space" sh -c "$*"
