#!/bin/bash
# Two machines, as far as their network goes: namespaces joined by a pair of virtual interfaces,
# with a torchrun agent in each. Run as `unshare -rnm two_nodes.sh LOGS COMMAND...`; COMMAND is
# torchrun's, without its rendezvous. Exits with 77 where namespaces can't be had.
set -uo pipefail
logs=$1
shift
connect() {
  mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns &&
    ip netns add one && ip netns add two &&
    ip link add eth-one netns one type veth peer name eth-two netns two &&
    ip -n one addr add 10.9.0.1/24 dev eth-one && ip -n two addr add 10.9.0.2/24 dev eth-two &&
    for name in one two; do
      ip -n $name link set lo up && ip -n $name link set eth-$name up || return 1
    done
}
reach() { # nothing listens there, which only who is reached can say
  said=$(LC_ALL=C ip netns exec two timeout 20 bash -c 'exec 3<>/dev/tcp/10.9.0.1/9' 2>&1)
  [[ $said == *refused* ]]
}
{ connect && reach; } || exit 77
rendezvous=(--nnodes=2 --master-addr=10.9.0.1 --master-port=29400)
GLOO_SOCKET_IFNAME=eth-one ip netns exec one "$1" -m torch.distributed.run "${rendezvous[@]}" \
  --node-rank=0 "${@:2}" >"$logs/0.log" 2>&1 &
first=$!
GLOO_SOCKET_IFNAME=eth-two ip netns exec two "$1" -m torch.distributed.run "${rendezvous[@]}" \
  --node-rank=1 "${@:2}" >"$logs/1.log" 2>&1 &
second=$!
wait $first && wait $second && grep -q eth-one <(ip netns exec one cat /proc/net/dev)
