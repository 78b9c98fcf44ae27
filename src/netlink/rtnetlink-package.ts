/**
 * rtnetlink, of the npm package `netlink`.  Its index would load tables of WireGuard and of wireless devices as well, which takes longer than
 * all that is needed of it.
 */
export { createRtNetlink } from 'netlink/dist/rt/rt.js';
export * as rt from 'netlink/dist/rt/structs.js';
