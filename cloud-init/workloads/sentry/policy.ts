/** The network that a browser's extension belongs to, and what the extension finds in its managed storage. */
export interface ExtensionPolicy {
  readonly extension: { readonly id: string } | null;
  readonly settings: Readonly<Record<string, unknown>>;
}

/**
 * Returns the browser's policies as the value of a JSON file of its `managed` folder. `extensionFolder` is the absolute
 * path, as the browser sees it, of the folder that holds the update manifest; `null` network or extension forces none.
 * Policy names and values: https://chromeenterprise.google/policies/.
 */
export function browserPolicy(network: ExtensionPolicy | null, extensionFolder: string): Record<string, unknown> {
  const extension = network?.extension ?? null;
  return {
    ...quiet,
    // The agent opens the extension's page: without this the browser refuses to debug what a policy installed.
    DeveloperToolsAvailability: 1,
    ...(network === null || extension === null
      ? {}
      : {
          ExtensionSettings: {
            "*": { installation_mode: "blocked" },
            [extension.id]: {
              installation_mode: "force_installed",
              update_url: `${fileUrl(extensionFolder)}/updates.xml`,
              override_update_url: true,
            },
          },
          "3rdparty": { extensions: { [extension.id]: network.settings } },
        }),
  };
}

/** A browser nobody sits at: nothing is fetched, reported or asked that the extension does not fetch itself. */
const quiet = {
  AutofillAddressEnabled: false,
  AutofillCreditCardEnabled: false,
  BackgroundModeEnabled: false,
  BrowserSignin: 0,
  ComponentUpdatesEnabled: false,
  DefaultBrowserSettingEnabled: false,
  DnsOverHttpsMode: "off",
  DomainReliabilityAllowed: false,
  MetricsReportingEnabled: false,
  NetworkPredictionOptions: 2,
  PasswordManagerEnabled: false,
  PromotionsEnabled: false,
  SafeBrowsingProtectionLevel: 0,
  SearchSuggestEnabled: false,
  SpellCheckServiceEnabled: false,
  SyncDisabled: true,
  TranslateEnabled: false,
  UrlKeyedAnonymizedDataCollectionEnabled: false,
} as const;

/** Returns the update manifest that offers exactly one version of the extension, packed in `crx` (absolute path). */
export function updateManifest(extension: { readonly id: string; readonly version: string }, crx: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?>
<gupdate xmlns="http://www.google.com/update2/response" protocol="2.0">
  <app appid="${extension.id}">
    <updatecheck codebase="${fileUrl(crx)}" version="${extension.version}"/>
  </app>
</gupdate>
`;
}

function fileUrl(path: string): string {
  return `file://${path.split("/").map(encodeURIComponent).join("/")}`;
}
