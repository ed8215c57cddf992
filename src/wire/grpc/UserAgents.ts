/** How our programs name themselves, and what replicas conclude from it. */

/** Makes a call again elsewhere that met GOAWAY. */
export const ownUserAgent = "holdfast"

/** Of our programs where they keep to OpenShell's wire: a replica must not take them for ours. */
export const plainUserAgent = "openshell-wire"
