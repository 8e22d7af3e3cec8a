/**
 * Wraps a caller's function. Its errors are reported and do not interrupt the client.
 * @template {any[]} A
 * @param {((...args: A) => void) | undefined} call
 * @returns {(...args: A) => void}
 */
export function guarded(call) {
  return (...args) => {
    try {
      call?.(...args);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  };
}
