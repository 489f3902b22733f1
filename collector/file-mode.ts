import { dirname } from "node:path";

/**
 * Returns whether a file's mode lets others than its owner read it. What systemd hands to a service lies in a folder that
 * only the service can enter, and may be given to it by an access list, which shows as the group's bits
 * (systemd.exec(5), CREDENTIALS_DIRECTORY).
 */
export function othersMayRead(file: string, mode: number, handedOver = process.env.CREDENTIALS_DIRECTORY): boolean {
  return (mode & (dirname(file) === handedOver ? 0o007 : 0o077)) !== 0;
}
