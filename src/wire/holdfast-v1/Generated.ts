/** The service `Admin` and its messages, generated from `proto/holdfast` (`bun run generate`). */
export * from "./gen/holdfast/v1/admin_pb.js"
