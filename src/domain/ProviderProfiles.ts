/** The profiles that come with the gateway. */
import type {
  ProfileCategory,
  ProfileCredential,
  ProfileEndpoint,
  ProfileInference,
  ProviderProfile,
} from "./ProviderProfile.ts"

const https = (...hosts: ReadonlyArray<string>): ReadonlyArray<ProfileEndpoint> =>
  hosts.map((host) => ({ host, port: 443, path: "", protocol: "rest", access: "full" }))

const bearer = (name: string, description: string, ...envVars: ReadonlyArray<string>): ProfileCredential => ({
  name,
  description,
  envVars,
  required: true,
  authStyle: "bearer",
  headerName: "Authorization",
})

const inHeader = (headerName: string, credential: ProfileCredential): ProfileCredential => ({
  ...credential,
  authStyle: "header",
  headerName,
})

const apiKey = (...envVars: ReadonlyArray<string>) => bearer("api_key", "API key", ...envVars)
const token = (...envVars: ReadonlyArray<string>) => bearer("token", "access token", ...envVars)

const bearerHeader = (key: string) => ({ authorization: `Bearer ${key}` })

const openAiProtocols = [
  "openai_chat_completions",
  "openai_completions",
  "openai_responses",
  "model_discovery",
]

const openAi: ProfileInference = {
  baseUrl: "https://api.openai.com/v1",
  baseUrlKey: "OPENAI_BASE_URL",
  credentialKeys: ["OPENAI_API_KEY", "api_key"],
  protocols: openAiProtocols,
  headers: bearerHeader,
}

const anthropic: ProfileInference = {
  baseUrl: "https://api.anthropic.com/v1",
  baseUrlKey: "ANTHROPIC_BASE_URL",
  credentialKeys: ["ANTHROPIC_API_KEY", "api_key"],
  protocols: ["anthropic_messages", "model_discovery"],
  headers: (key) => ({ "x-api-key": key, "anthropic-version": "2023-06-01" }),
}

const nvidia: ProfileInference = {
  baseUrl: "https://integrate.api.nvidia.com/v1",
  baseUrlKey: "NVIDIA_BASE_URL",
  credentialKeys: ["NVIDIA_API_KEY", "api_key"],
  protocols: openAiProtocols,
  headers: bearerHeader,
}

const profile = (
  id: string,
  displayName: string,
  category: ProfileCategory,
  description: string,
  rest: Pick<ProviderProfile, "credentials" | "endpoints" | "inference">,
): ProviderProfile => ({ id, displayName, category, description, ...rest })

const deepInfra: ProfileInference = {
  baseUrl: "https://api.deepinfra.com/v1/openai",
  baseUrlKey: "DEEPINFRA_BASE_URL",
  credentialKeys: ["DEEPINFRA_API_KEY", "api_key"],
  protocols: openAiProtocols,
  headers: bearerHeader,
}

export const providerProfiles: ReadonlyArray<ProviderProfile> = [
  profile("anthropic", "Anthropic", "inference", "Claude models over Anthropic's API", {
    credentials: [inHeader("x-api-key", apiKey("ANTHROPIC_API_KEY"))],
    endpoints: https("api.anthropic.com"),
    inference: anthropic,
  }),
  profile("claude-code", "Claude Code", "agent", "Anthropic's coding agent", {
    credentials: [inHeader("x-api-key", apiKey("ANTHROPIC_API_KEY", "CLAUDE_API_KEY"))],
    endpoints: https("api.anthropic.com", "statsig.anthropic.com"),
  }),
  profile("codex", "Codex", "agent", "OpenAI's coding agent", {
    credentials: [apiKey("OPENAI_API_KEY")],
    endpoints: https("api.openai.com", "auth.openai.com", "chatgpt.com"),
  }),
  profile("copilot", "GitHub Copilot", "agent", "GitHub's coding agent", {
    credentials: [token("COPILOT_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN")],
    endpoints: https("api.github.com", "api.githubcopilot.com"),
  }),
  profile("deepinfra", "DeepInfra", "inference", "open models of DeepInfra", {
    credentials: [apiKey("DEEPINFRA_API_KEY")],
    endpoints: https("api.deepinfra.com"),
    inference: deepInfra,
  }),
  profile("github", "GitHub", "source_control", "repositories and API of GitHub", {
    credentials: [token("GITHUB_TOKEN", "GH_TOKEN")],
    endpoints: https("api.github.com", "github.com"),
  }),
  profile("gitlab", "GitLab", "source_control", "repositories and API of gitlab.com", {
    credentials: [inHeader("PRIVATE-TOKEN", token("GITLAB_TOKEN", "GLAB_TOKEN"))],
    endpoints: https("gitlab.com"),
  }),
  profile("nvidia", "NVIDIA", "inference", "models of NVIDIA's API catalogue", {
    credentials: [apiKey("NVIDIA_API_KEY")],
    endpoints: https("integrate.api.nvidia.com"),
    inference: nvidia,
  }),
  profile("openai", "OpenAI", "inference", "models over OpenAI's API, or one that speaks it", {
    credentials: [apiKey("OPENAI_API_KEY")],
    endpoints: https("api.openai.com"),
    inference: openAi,
  }),
]

const byId = new Map(providerProfiles.map((known) => [known.id, known]))

/** Undefined for a provider of a type without a profile. */
export const profileOf = (type: string): ProviderProfile | undefined => byId.get(type)
