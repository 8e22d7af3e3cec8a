/** For the option `isReachable`: asks a page of the server, cheap to answer, whether the server is there. */
export function reachableAt(url: string): () => Promise<boolean>;
