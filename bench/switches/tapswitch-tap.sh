#!/bin/bash
# tapswitch.sh with internal ports (TAPs).
KIND=tap
. "$(dirname "$(readlink -f "$0")")/tapswitch.sh"
