/**
 * Set up for every unit test: slices of long work are over as soon as somebody looks.  So they are the same on each run, and those of a
 * machine that stalls are the ones that are tested.
 */
import { setWorkClock } from '../../src/util/clock.ts';

let now = 0;
setWorkClock(() => (now += 1000));
