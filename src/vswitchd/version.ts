/** Who we say that we are. */

/** The program's name in file names, as in stock `ovs-appctl -t ovs-vswitchd`. */
export const PROGRAM = 'ovs-vswitchd';
/** The release of Open vSwitch whose behaviour, formats and texts this program follows. */
export const OVS_VERSION = '3.1.0';
export const TAPSWITCH_VERSION = '0.1.0';
/** As the stock program's: ovs-ctl(8) takes its last word for the version. */
export const VERSION_LINE = `${PROGRAM} (Open vSwitch) ${OVS_VERSION}`;
/** What `--version` and the command "version" print. */
export const VERSION_TEXT = `${VERSION_LINE}\ntapswitch ${TAPSWITCH_VERSION}`;
