declare module "crx3" {
  /** Packs the files, which share a folder with a `manifest.json`, into a CRX3 file. */
  export default function crx3(
    files: readonly string[],
    options: { readonly crxPath: string; readonly keyPath: string; readonly forceDateTime?: number },
  ): Promise<{ readonly appId: string }>;
}
