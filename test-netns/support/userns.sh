#!/bin/bash
# userns.sh CHECKOUT: runs inside a new user and network namespace (userns.test.ts): a datapath with two TAP ports, one of
# them in a second network namespace, flows between them, and a ping.
set -eu
tapswitch=$1/bin/tapswitch
work=$(mktemp -d)
children=()
finish() {
    for pid in "${children[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait
    rm -rf "$work"
}
trap finish EXIT

"$tapswitch" datapath --ready-file "$work/ready" & children+=($!)
for ((i = 0; i < 500; i++)); do
    if [ -e "$work/ready" ]; then break; fi
    kill -0 "${children[0]}"
    sleep 0.02
done
[ -e "$work/ready" ]

# The other host: a network namespace that lives as long as its process.
unshare -n sleep 60 & children+=($!)
other=$!
for ((i = 0; i < 500; i++)); do
    if [ "$(readlink "/proc/$other/ns/net")" != "$(readlink /proc/self/ns/net)" ]; then break; fi
    sleep 0.02
done

"$tapswitch" dpctl add-dp dp0
"$tapswitch" dpctl add-if dp0 tap1,type=internal tap2,type=internal
for type in 0x0800 0x0806; do
    rest=$([ $type = 0x0800 ] && echo 'ipv4()' || echo 'arp()')
    "$tapswitch" dpctl add-flow dp0 "in_port(1),eth(),eth_type($type),$rest" 2
    "$tapswitch" dpctl add-flow dp0 "in_port(2),eth(),eth_type($type),$rest" 1
done
sysctl -qw net.ipv6.conf.all.disable_ipv6=1
ip link set tap2 netns "$other"
ip addr add 10.5.0.1/24 dev tap1
ip link set tap1 up
nsenter --net="/proc/$other/ns/net" sh -c '
    sysctl -qw net.ipv6.conf.all.disable_ipv6=1
    ip addr add 10.5.0.2/24 dev tap2; ip link set tap2 up'
ping -n -c 5 -i 0.1 -W 2 10.5.0.2
"$tapswitch" dpctl show
