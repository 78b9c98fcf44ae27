import { defineConfig } from 'vitest/config';

const { CI } = process.env;

/**
 * Three projects: `unit` needs no privileges and no build; `netns` needs root, the built product and
 * Debian's openvswitch-switch; `golden` compares with recordings of the real module, where they are at hand.
 */
export default defineConfig({
  test: {
    projects: [
      // Generous, for machines that do much else meanwhile: a test that hangs still ends.
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          setupFiles: ['test/support/short-turns.ts'],
          // In continuous integration, where machines stand still for a moment, a test gets a second try, which the end of the run tells.
          retry: CI ? 1 : 0,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'netns',
          include: ['test-netns/**/*.test.ts'],
          exclude: ['test-netns/golden/**'],
          fileParallelism: false,
          // Real time and a real host: what is late once gets a second try, which the end of the run tells.
          retry: 1,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'golden',
          include: ['test-netns/golden/**/*.test.ts'],
          fileParallelism: false,
          // A frame that the host's own stack sends in between shows in a case's counters.
          retry: 1,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
