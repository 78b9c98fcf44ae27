{
  'targets': [
    {
      # The addon: src/native/index.ts says what it does.
      'target_name': 'tapswitch',
      'sources': [
        'native/addon.cc',
        'native/bpf.cc',
        'native/ethtool.cc',
        'native/netlink_socket.cc',
        'native/packet_port.cc',
        'native/packet_ring.cc',
        'native/pidfile.cc',
        'native/poller.cc',
        'native/process.cc',
        'native/socket_option.cc',
        'native/tunnel_socket.cc',
      ],
      'include_dirs': ["<!(node -p \"require('node-addon-api').include_dir\")"],
      'defines': ['NAPI_VERSION=8', 'NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS', '_GNU_SOURCE'],
      'cflags': ['-Wall', '-Wextra', '-O2', '-fvisibility=hidden'],
      'cflags_cc': ['-std=c++17'],
    },
    {
      # The library for stock tools, to be named in LD_PRELOAD: native/preload.c.  Plain C, nothing of Node in it.
      'target_name': 'tapswitch-preload',
      'type': 'shared_library',
      'product_prefix': 'lib',
      'product_name': 'tapswitch-preload',
      'product_extension': 'so',
      'product_dir': '<(PRODUCT_DIR)',
      'sources': ['native/preload.c', 'native/preload_route.c', 'native/preload_tunnel.c', 'native/preload_wait.c'],
      'defines': ['_GNU_SOURCE'],
      'cflags': ['-Wall', '-Wextra', '-O2', '-fvisibility=hidden'],
      'cflags_c': ['-std=c11'],
      'ldflags': ['-Wl,-z,defs'],
      'libraries': ['-ldl', '-lpthread'],
    },
  ],
}
