import { limits } from "../domain/Limits.ts"

/**
 * Whether sessions of lost replicas are still coming back by themselves, judged by how many are missing at each
 * sweep. A crowd may need longer than the grace period; to look at each of its sandboxes meanwhile would wake
 * thousands of actors and take the processor from those that reconnect.
 */
export class Returning {
  #missing = 0

  /** `missing`: sessions that are lost now; `overdueMs`: how long ago the first replica's grace period ended. */
  isUnderWay(missing: number, overdueMs: number): boolean {
    const returned = this.#missing - missing
    this.#missing = missing
    return returned >= limits.returningLeast && overdueMs < limits.returningMs
  }
}
