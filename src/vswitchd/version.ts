/** Who we say that we are. */

/** The program's name in file names, as in stock `ovs-appctl -t ovs-vswitchd`. */
export const PROGRAM = 'ovs-vswitchd';
/** The release of Open vSwitch whose behaviour, formats and texts this program follows. */
export const OVS_VERSION = '3.1.0';
export const TAPSWITCH_VERSION = '0.1.0';
/** Begins as the stock program's does, since scripts look for that. */
export const VERSION_TEXT = `${PROGRAM} (Open vSwitch) ${OVS_VERSION} (tapswitch ${TAPSWITCH_VERSION})`;
