/** What the clouds answer when a program asks them, by the token of the question: enough to declare any machine. */
export const cloudAnswers: Readonly<Record<string, (inputs: Readonly<Record<string, unknown>>) => object>> = {
  "oci:Core/getImages:getImages": ({ shape }) => ({ images: [{ id: `image-of-${shape}` }, { id: "older" }] }),
  "oci:Identity/getAvailabilityDomains:getAvailabilityDomains": () => ({
    availabilityDomains: ["AD-1", "AD-2", "AD-3"].map((name) => ({ name: `Uocm:PHX-${name}` })),
  }),
  "oci:Identity/getRegionSubscriptions:getRegionSubscriptions": () => ({
    regionSubscriptions: [
      { regionName: "us-ashburn-1", isHomeRegion: false },
      { regionName: "us-phoenix-1", isHomeRegion: true },
    ],
  }),
  "gcp:compute/getImage:getImage": ({ family }) => ({ selfLink: `image-of-${family}` }),
  "gcp:organizations/getProject:getProject": () => ({ number: "123456789" }),
};
