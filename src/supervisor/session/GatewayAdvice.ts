import type { SessionAdvice } from "../../domain/Session.ts"

/** What gateways last said of how to treat them; without a word of theirs the supervisor's own limits hold. */
export class GatewayAdvice {
  #reconnectSpreadMs = 0
  #configPollMs = 0

  heed(advice: SessionAdvice | undefined): void {
    if (advice === undefined) return
    this.#reconnectSpreadMs = advice.reconnectSpreadMs
    this.#configPollMs = advice.configPollMs
  }

  /** A lost session may be one of this many milliseconds' worth of reconnects. */
  get reconnectSpreadMs(): number {
    return this.#reconnectSpreadMs
  }

  /** 0 without advice. */
  get configPollMs(): number {
    return this.#configPollMs
  }
}
