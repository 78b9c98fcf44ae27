#!/bin/bash
# The stock ovs-vswitchd on our datapath, for ../shared/bench.
STOCK_VSWITCHD=1
. "$(dirname "$(readlink -f "$0")")/vswitchd-tapswitch.sh"
