/** The storage of a browser that stores nothing. */
export const NO_STORAGE = {
  adoptEntries: async () => [],
  putEntry: () => {},
  deleteEntry: () => {},
  drafts: async () => new Map(),
  putDraft: () => {},
  watchTabs: () => {},
};
