/**
 * Which golden cases the emulated datapath answers as the real module does: by number, as in `001-dp-add-del`.  A change that
 * makes more of them right adds their numbers here.
 */
// biome-ignore format: table
export const EXPECTED: readonly string[] = [
  '001', '002', '003', '004', '007', '008', '009', '011', //               datapaths
  '020', '021', '023', '024', '025', '026', '027', //               ports
  '040', '041', '042', '044', '045', //                             flows
  '050', '052', '053', '055', '056', '057', '059', '060', '062', //        keys
  '070', '072', '073', '074', '076', '077', '079', //                                 actions
  '100', '101', '102', '105', '106', '108', '110', '111', //                      packets
];

/**
 * What the device of a tunnel port looks like to `ip link` is left out, as ours is a TAP (docs/differences-from-ovs.md): the output of
 * commands that list devices by a tunnel's type, which none of ours has, and that a device is on top of none.
 */
export const DEVICE_TEXT: readonly { readonly pattern: RegExp; readonly replacement: string }[] = [
  { pattern: /^(\$ ip -o link show type (?:vxlan|geneve) .*\n)(?:> .*\n)*/gm, replacement: '$1' },
  { pattern: /^(> \w+)@NONE(?=: )/gm, replacement: '$1' },
];

/** Cases in which our dpctl says something else on purpose: its help tells its own options. */
export const OWN_TEXT: readonly string[] = ['011'];

/** Cases that ask for what a kernel may lack: device type, for which golden.test.ts then gives a stand-in. */
export const STAND_INS: Readonly<Record<string, string>> = {
  dummy: 'dummy() { ip link add "$1" type veth peer name "q$1"; }',
};
