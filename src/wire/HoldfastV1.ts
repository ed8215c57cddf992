/** Our extension of the session messages and the service `Admin`, generated from `proto/holdfast`. */
export * from "./openshell-v1/gen/holdfast/v1/admin_pb.js"
export * from "./openshell-v1/gen/holdfast/v1/extension_pb.js"
