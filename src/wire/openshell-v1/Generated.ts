/**
 * The OpenShell 0.0.111 wire as one import: messages, enums and the services `OpenShell` and `Inference`, with our
 * extension of the session's messages; generated from `proto/openshell` and `proto/holdfast` (`bun run generate`).
 */
export * from "./gen/holdfast/v1/extension_pb.js"
export * from "./gen/openshell/datamodel/v1/datamodel_pb.js"
export * from "./gen/openshell/inference/v1/inference_pb.js"
export * from "./gen/openshell/options/v1/options_pb.js"
export * from "./gen/openshell/sandbox/v1/sandbox_pb.js"
export * from "./gen/openshell/v1/config_pb.js"
export * from "./gen/openshell/v1/exec_pb.js"
export * from "./gen/openshell/v1/identity_pb.js"
export * from "./gen/openshell/v1/openshell_pb.js"
export * from "./gen/openshell/v1/provider_pb.js"
export * from "./gen/openshell/v1/sandbox_pb.js"
export * from "./gen/openshell/v1/session_pb.js"
export * from "./gen/openshell/v1/watch_pb.js"
export * from "./gen/openshell/v1/workspace_pb.js"
