/** A suite's full counts: environment variables that its tests read, and the files that it is. */
interface FullCount {
  readonly counts: Readonly<Record<string, string>>;
  readonly files: readonly string[];
}

/** What `npm run test:full -- <suite>` runs. Every count is a parameter of the same test that the quick tier runs. */
export const fullCounts: Readonly<Record<string, FullCount>> = {
  /** SIGKILLs of the collector at random points. */
  "collector-kills": { counts: { KILLS: "200" }, files: ["test/collector/collector.test.ts"] },
  /** Kills of two collectors at work together, and crashes of their database between them. */
  "collector-chaos": { counts: { CHAOS_KILLS: "200" }, files: ["test/collector/chaos.test.ts"] },
  /** Hostile lines that are packed, and sessions that end while collectors pack and store. */
  packs: {
    counts: { PACKS: "20000", PACKING_KILLS: "200" },
    files: ["test/collector/store/pack.test.ts", "test/collector/store/packing.test.ts"],
  },
  /** Hostile lines that are archived, and SIGKILLs of processes that archive and erase. */
  archives: {
    counts: { ARCHIVED_LINES: "5000", ARCHIVE_KILLS: "100" },
    files: ["test/collector/store/archive/lines.test.ts", "test/collector/store/archive/archives.test.ts"],
  },
  /** SIGKILLs of a backup and of a restore at random steps. */
  backup: { counts: { BACKUP_KILLS: "200" }, files: ["test/collector/store/backup/backup.test.ts"] },
  /** SIGKILLs of an upgrade of the embedded database at random steps. */
  upgrade: { counts: { UPGRADE_KILLS: "50" }, files: ["test/collector/store/upgrade.test.ts"] },
  /** Cuts of a journal at random bytes. */
  "journal-torture": { counts: { GRADIENTLAB_TORTURE: "200" }, files: ["test/cloud-init/journal.test.ts"] },
  /** Virtual machines that one stack makes at once. */
  machines: { counts: { MACHINES: "2" }, files: ["test/system/machine.test.ts"] },
  /** One of another architecture, in software. */
  "machines-arm64": {
    counts: { MACHINES: "1", MACHINE_SIZE: "machine-arm64" },
    files: ["test/system/machine.test.ts"],
  },
  /** What one virtual machine lives through, one thing after the other. */
  "machine-life": { counts: { MACHINE_LIFE: "1", MACHINE_CUTS: "20" }, files: ["test/system/machine-life.test.ts"] },
  /** The collector's own machine, made and updated by `npm run up`. */
  "collector-host": { counts: { COLLECTOR_HOST: "1" }, files: ["test/system/collector-host.test.ts"] },
  /** Recovery's ladder on a virtual machine. */
  "recovery-machine": { counts: { RECOVERY_MACHINE: "1" }, files: ["test/system/recovery-machine.test.ts"] },
  /** Mutated answers of the practice network. */
  payloads: { counts: { PAYLOADS: "20000" }, files: ["test/collector/networks"] },
  /** Machines of the grant in the examples' phases, gone through on one stack. */
  phases: { counts: { GRANT_MACHINES: "100" }, files: ["test/infra/stand-in/phases.test.ts"] },
  /** Random lives of a fleet that recovery's limits are held to. */
  recoveries: { counts: { RECOVERIES: "5000" }, files: ["test/collector/recovery/ladder.test.ts"] },
  /** Random configs, ledgers and deployed states that plans and budgets are held to. */
  plans: { counts: { PLANS: "10000" }, files: ["test/infra/budget.test.ts"] },
};
