/**
 * What the extension keeps in `chrome.storage.local`. The names of `loginInfo` and `nodeMapEncrypted` are those of the
 * network that this one practises for; `loginInfo` is a secret, and so is the browser's profile folder that holds it.
 */
export interface Stored {
  readonly loginInfo?: LoginInfo;
  /** The node of each account by the account's uid. */
  readonly nodeMapEncrypted?: Readonly<Record<string, { readonly clientid: string }>>;
  /** Made before the first registration, so that registering twice gives one node. */
  readonly installation?: string;
  /** Nonces of the taps that this node offered, by tap id. */
  readonly taps?: Readonly<Record<string, string>>;
  readonly shown?: Shown;
  readonly clientid?: string;
  /** When the network last acknowledged a heartbeat: ISO 8601, UTC, this machine's clock. */
  readonly lastHeartbeatAt?: string;
  readonly version?: string;
  /** Why the last heartbeat failed; absent after one that did not. */
  readonly failure?: { readonly at: string; readonly message: string };
}

export interface LoginInfo {
  readonly token: string;
  readonly refresh: string;
  readonly uid: string;
}

/** What the popup shows: of today (UTC, network time), in units of 1/100 000 point and in milliseconds. */
export interface Shown {
  readonly taps: number;
  readonly uptimeMs: number;
  readonly units: number;
  readonly seasonNo: number;
  readonly seasonUnits: number;
  readonly referred: number;
  readonly referralCode: string;
  readonly ip: string;
}

/** Returns the values kept under these names; an absent one is undefined. */
export async function read<Name extends keyof Stored>(...names: Name[]): Promise<Pick<Stored, Name>> {
  return (await chrome.storage.local.get(names)) as Pick<Stored, Name>;
}

/** Keeps these values. */
export async function keep(values: Stored): Promise<void> {
  await chrome.storage.local.set(values);
}
