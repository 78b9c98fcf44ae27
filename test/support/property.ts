/**
 * fast-check with a seed of its own: a run is the same each time, so that what fails here fails there.  TAPSWITCH_FUZZ_SEED
 * names another seed (`scripts/properties` plays many).
 */
import fc from 'fast-check';

const { TAPSWITCH_FUZZ_SEED } = process.env;

fc.configureGlobal({ seed: Number(TAPSWITCH_FUZZ_SEED ?? 1) });

export { fc };
