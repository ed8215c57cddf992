/** The contract with a compute driver in another process, generated from `proto/openshell/compute`. */
export * from "./openshell-v1/gen/openshell/compute/v1/compute_driver_pb.js"
