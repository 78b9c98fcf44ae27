/**
 * errno numbers, names and the C library's texts for them (Linux, glibc): what tools print, and what goes on the wire.
 * Source: include/uapi/asm-generic/errno-base.h and errno.h.
 */

// biome-ignore format: table
const TABLE = {
  EPERM:           [1,   'Operation not permitted'],
  ENOENT:          [2,   'No such file or directory'],
  ESRCH:           [3,   'No such process'],
  EINTR:           [4,   'Interrupted system call'],
  EIO:             [5,   'Input/output error'],
  ENXIO:           [6,   'No such device or address'],
  E2BIG:           [7,   'Argument list too long'],
  EBADF:           [9,   'Bad file descriptor'],
  EAGAIN:          [11,  'Resource temporarily unavailable'],
  ENOMEM:          [12,  'Cannot allocate memory'],
  EACCES:          [13,  'Permission denied'],
  EFAULT:          [14,  'Bad address'],
  EBUSY:           [16,  'Device or resource busy'],
  EEXIST:          [17,  'File exists'],
  ENODEV:          [19,  'No such device'],
  ENOTDIR:         [20,  'Not a directory'],
  EISDIR:          [21,  'Is a directory'],
  EINVAL:          [22,  'Invalid argument'],
  ENFILE:          [23,  'Too many open files in system'],
  EMFILE:          [24,  'Too many open files'],
  EFBIG:           [27,  'File too large'],
  ENOSPC:          [28,  'No space left on device'],
  EPIPE:           [32,  'Broken pipe'],
  EDOM:            [33,  'Numerical argument out of domain'],
  ERANGE:          [34,  'Numerical result out of range'],
  ENAMETOOLONG:    [36,  'File name too long'],
  ENOSYS:          [38,  'Function not implemented'],
  ELOOP:           [40,  'Too many levels of symbolic links'],
  EPROTO:          [71,  'Protocol error'],
  EBADMSG:         [74,  'Bad message'],
  EOVERFLOW:       [75,  'Value too large for defined data type'],
  EBADFD:          [77,  'File descriptor in bad state'],
  EMSGSIZE:        [90,  'Message too long'],
  EPROTONOSUPPORT: [93,  'Protocol not supported'],
  EOPNOTSUPP:      [95,  'Operation not supported'],
  EAFNOSUPPORT:    [97,  'Address family not supported by protocol'],
  EADDRINUSE:      [98,  'Address already in use'],
  EADDRNOTAVAIL:   [99,  'Cannot assign requested address'],
  ENETDOWN:        [100, 'Network is down'],
  ENETUNREACH:     [101, 'Network is unreachable'],
  ECONNABORTED:    [103, 'Software caused connection abort'],
  ECONNRESET:      [104, 'Connection reset by peer'],
  ENOBUFS:         [105, 'No buffer space available'],
  ENOTCONN:        [107, 'Transport endpoint is not connected'],
  ETIMEDOUT:       [110, 'Connection timed out'],
  ECONNREFUSED:    [111, 'Connection refused'],
  EHOSTUNREACH:    [113, 'No route to host'],
  EALREADY:        [114, 'Operation already in progress'],
  EINPROGRESS:     [115, 'Operation now in progress'],
} as const;

type Name = keyof typeof TABLE;

/** errno numbers by name: `ERRNO.EINVAL === 22`. */
export const ERRNO = Object.fromEntries(Object.entries(TABLE).map(([name, [n]]) => [name, n])) as {
  readonly [K in Name]: (typeof TABLE)[K][0];
};

const BY_NUMBER = new Map<number, readonly [string, string]>(
  Object.entries(TABLE).map(([name, [n, text]]) => [n, [name, text]]),
);

/** "ENODEV" for 19; "E123" for a number that is not in the table. */
export const errnoName = (errno: number): string => BY_NUMBER.get(errno)?.[0] ?? `E${errno}`;
/** "No such device" for 19; "Unknown error 123" for a number that is not in the table. */
export const errnoText = (errno: number): string => BY_NUMBER.get(errno)?.[1] ?? `Unknown error ${errno}`;
