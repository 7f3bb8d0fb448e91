// A real OpenID provider for tests: settings come as JSON in PROVIDER, its address goes to standard output.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import Provider from 'oidc-provider'

const settings = JSON.parse(process.env.PROVIDER)
const people = () => JSON.parse(readFileSync(settings.people, 'utf8'))
const server = createServer()

server.listen(settings.port, '127.0.0.1', () => {
  const provider = new Provider(`http://127.0.0.1:${settings.port}`, {
    clients: [{
      client_id: settings.clientId,
      client_secret: settings.clientSecret,
      redirect_uris: [`${settings.portal}/sign-in/callback`],
      post_logout_redirect_uris: [`${settings.portal}/signed-out`],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: settings.authMethod,
    }],
    cookies: { keys: ['tests only'] },
    claims: { openid: ['sub'], profile: ['name', 'roles', 'locale'], email: ['email'] },
    conformIdTokenClaims: false,
    findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, ...people()[sub] }) }),
    extraTokenClaims: (_, token) => people()[token.accountId],
    issueRefreshToken: () => settings.refresh,
    rotateRefreshToken: true,
    ttl: { AccessToken: settings.seconds, IdToken: settings.seconds, Grant: 3600, Session: 3600, RefreshToken: 3600, Interaction: 600 },
    features: {
      resourceIndicators: {
        enabled: settings.jwt,
        defaultResource: () => 'urn:yunhui',
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: 'openid profile email', audience: settings.audience, accessTokenFormat: 'jwt', accessTokenTTL: settings.seconds,
        }),
      },
    },
  })
  server.on('request', provider.callback())
  console.log('ready')
})
