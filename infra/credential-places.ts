import { join, resolve } from "node:path";
import { checkout } from "./engine/environment.ts";
import { homeOf } from "./home.ts";

/** Where a collector keeps its credentials. */
export interface CredentialPlaces {
  readonly keyFile: string;
  readonly networks: string;
  readonly alerts: string;
  readonly sessions: string;
}

/** Returns this checkout's places, or those that the collector's variables name. */
export function credentialPlaces(env: NodeJS.ProcessEnv): CredentialPlaces {
  const home = resolve(homeOf(checkout, env));
  return {
    keyFile: resolve(env.CREDENTIALS_KEY || join(home, "credentials.key")),
    networks: resolve(env.NETWORKS || join(home, "networks")),
    alerts: resolve(env.ALERTS || join(home, "alerts.json")),
    sessions: join(resolve(env.DATA_DIR || join(home, "data")), "sessions"),
  };
}
