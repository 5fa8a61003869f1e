import type { Fault } from "./bench.ts";
import { kill9 } from "./kills.ts";
import { machineFaults } from "./machine.ts";
import { nagiosFaults } from "./nagios.ts";
import { relayFaults } from "./relay.ts";

/** All that is broken. */
export const faults: readonly Fault[] = [...kill9, ...relayFaults, ...machineFaults, ...nagiosFaults];
