#!/bin/sh
# How mpirun starts its daemons in network.ts, "agent.sh HOST COMMAND…", where otherwise it would log in by ssh: the last number of
# the host's address is that of its network namespace. Daemons keep files in TMPDIR, where those of one machine would meet.
space=hirec-${1##*.}
shift
TMPDIR=$(mktemp -d)
export TMPDIR
exec ip netns exec "$space" sh -c "$*"
