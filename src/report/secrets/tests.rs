//! Secrets in every form, and what is none.

use super::{FORMS, SECRETS, mask};
use base64::Engine;

/// What stands for `§` in a row.
const VALUE: &str = "Hx7Kd92mQpZr4TnW";

/// Rows with a `§`, which must not be seen.
const FORMS_OF_FIELDS: &str = r#"
password=§
PASSWORD=§
db.password = §
DB_PASSWORD=§
MYSQL_ROOT_PASSWORD: §
spring.datasource.password=§
passwd: §
"password": "§"
'password': '§'
"password":"§","user":"ada"
{"user":"ada","password":"§"}
{user: ada, password: §}
env["DB_PASSWORD"] = "§"
ENV['API_TOKEN'] = '§'
password := "§"
password == '§'
password => §
'password' => '§'
password:§
password	§
password §
the password is §
The password was: §
new password: §
spec.password: Invalid value: "§": must be longer
pass=§
PASS: §
dbPass=§
smtp_pass: §
pass-word=§
pass_word: §
passphrase=§
pwd=§;
Pwd=§;Encrypt=True
psk=§
wifi_psk=§
authkey=§
auth_key: §
auth-key=§
SECRET_KEY=§
API_SECRET_KEY=§
SECRET_KEY_BASE=§
client_secret=§
clientSecret: §
"clientSecret":"§"
aws_secret_access_key = §
secretAccessKey: §
secret=§
secret: §
token=§
token: §
"access_token":"§","expires_in":3599
refresh_token=§&x=1
id_token: §
X-Auth-Token: §
X-Api-Key: §
x-functions-key: § and api-key=§
Ocp-Apim-Subscription-Key: §
api key: §
apiKey=§
accountKey=§==
AccountKey=§==;EndpointSuffix=core.windows.net
storageKey: §==
primary_storage_key=§
InstrumentationKey=§
InstrumentationKey=§;IngestionEndpoint=https://westeurope.example/
SharedAccessKeyName=Root;SharedAccessKey=§=
SharedAccessSignature=§
sig=§&se=2026
encryption_key=§
signing-key: §
certificate-key: §
credential=§
credentials: ada/§
credentials=§
CREDENTIALS: §
creds=§
Passwort: §
Kennwort=§
db_passwort=§
mot_de_passe=§
mot de passe : §
motdepasse=§
contraseña: §
contrasena=§
пароль=§
Пароль: §
senha=§
hasło: §
wachtwoord=§
密码=§
密码：§
密码是§
数据库密码: §
パスワード=§
パスワードは§
--password §
--password=§
--admin-password "§"
--client-secret §
-Password §
--token §
--from-literal=password=§
az login --service-principal -u 4711 -p §
az login --service-principal -u 4711 -p '§' --tenant x
az acr login -n shop -p §
docker login -u ada -p § shop.example
helm registry login -u ada -p §
curl -u ada:§ https://shop.example/
curl -sku 'ada:§' https://shop.example/
curl --user ada:§ https://shop.example/
mysql -u root -p§
mysqldump -uroot -p§ shop
sshpass -p § ssh ada@host
sshpass -p§ ssh ada@host
ldapsearch -x -D cn=ada -w § -b dc=x
redis-cli -h cache -a § ping
sqlcmd -S db -U sa -P §
mongosh --host db -u ada -p §
bindpw §
requirepass §
AUTH §
PASS §
https://§@dev.azure.com/contoso/_git/shop
https://ada:§@shop.example/x
postgres://ada:§@db:5432/shop?sslmode=require
amqp://ada:p%40§@mq
amqp://ada:p@§@mq:5672/x
amqp://ada:s3/§@mq
mongodb://ada:§@h1:27017,h2:27017/x
redis://:§@cache:6379
ada:§@tcp(db:3306)/shop
ada:p@§@tcp(db:3306)/shop
jdbc:oracle:thin:ada/§@//db:1521/x
Server=db;User Id=ada;Password=§;Encrypt=True
host=db user=ada password=§ dbname=x
<password>§</password>
<db:password>§</db:password>
<Password type="plain">§</Password>
<add key="Password" value="§"/>
<add value="x" key="ApiKey"  value="§" />
<property><name>db.password</name><value>§</value></property>
<input name="token" type="hidden" value="x" /><apiKey>§</apiKey>
{"name":"DB_PASSWORD","value":"§"}
{"name": "API_TOKEN", "value": "§"}
{Name:DB_PASSWORD Value:§ ValueFrom:nil}
- name: DB_PASSWORD\n  value: §
- name: DB_PASSWORD\n  value: "§"
password: >-\n  §
password: |\n  §\n
db:\n  password: >\n    §\n  user: ada
password:\n  §
password: '§'
password: `§`
Cookie: session=§
Cookie: theme=dark; session=§
Set-Cookie: auth=§; Path=/; HttpOnly
"Set-Cookie": ["auth=§; Secure"]
Authorization: Bearer §
Authorization: Basic §
"Authorization": "Basic §"
Authorization: Negotiate §
Proxy-Authorization: NTLM §
Authorization: Token §
Authorization: SharedKey shop:§
Authorization: §
Authorization: Digest username="ada", realm="x", response="§"
WWW-Authenticate: Negotiate §
authorization=[Bearer §]
{"kind":"Secret","data":{"x":"§"}}
{"apiVersion":"v1","data":{"a.b":"QQ==","x":"§"},"kind":"Secret","metadata":{"name":"x"}}
{"apiVersion":"v1","kind":"Secret","metadata":{"name":"x"},"stringData":{"x":"§"}}
kind: Secret\ndata:\n  a: QQ==\n  x: §\n
token=ghp_§§12345678
glpat-§12345
{"auths":{"shop.example":{"auth":"§"}}}
"#;

/// Values that a reader of fields may take for less than they are, each to be put behind `password` in quotes.
const ODD_VALUES: [&str; 22] = [
    "Abc&defgh1jk",
    "P@ss,w0rdXyz9",
    "ab;cdefgh12",
    "ab<cdefgh12",
    "ab(cdefgh12",
    "ab[cdefgh12",
    "ab}cdefgh12",
    "ab\\cdefgh12",
    "ab\"cdefgh12",
    "ab'cdefgh12",
    "a bcdefgh 12",
    "correct horse battery staple",
    "$ecretpart1",
    "<Hx7Kd92mQ>x",
    "(abcdefgh12)",
    "[abcdefgh12",
    "ADMIN_ADMIN",
    "ABCDEFGHIJKL",
    "abc12",
    "hunter",
    "{abcdefgh12",
    "&abcdefgh12",
];

/// Texts that stay as they are, byte for byte.
const HARMLESS: &str = r#"
mcr.microsoft.com/oss/kubernetes/pause@sha256:7031c1b283388d2c2e09b57badb803c05ebed362dc88d84b480cc47f72a21097
shop.azurecr.io/token-service@sha256:7031c1b283388d2c2e09b57badb803c05ebed362dc88d84b480cc47f72a21097
shop.azurecr.io/team/secret-sync:v1.2.3 and secret-sync:v1.2.3-rc1
uid: 0b1f6471-1bf0-4dda-aec3-cb9272f09590
commit 8f14e45fceea167a5a36dedd4bea2543f2b1a7c9
resourceVersion: "184467440"
certificate-authority-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSURCVENDQWUyZ0F3SUJBZ0lJVHg
caBundle: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSURCVENDQWUyZ0F3SUJBZ0lJVHg
client-certificate-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSURCVENDQWUyZ0F3SUJBZ0lJVHg
--password-file=/etc/shop/x
--token-auth-file=/etc/kubernetes/tokens.csv --service-account-signing-key-file=/etc/kubernetes/sa.key
--tls-private-key-file=/etc/kubernetes/pki/apiserver.key
password authentication failed for user "ada"
FATAL: password authentication failed for user "shop" (SQLSTATE 28P01)
User "ada" cannot create resource "tokenreviews" in API group "authentication.k8s.io" at the cluster scope
secrets "db-creds" not found
MountVolume.SetUp failed for volume "creds" : secret "db-creds" not found
couldn't find key password in Secret shop/db-creds
User "x" cannot create resource "serviceaccounts/token" in API group ""
open /var/run/secrets/kubernetes.io/serviceaccount/token: no such file or directory
token expired
Unauthorized: invalid bearer token, token has expired
Unable to authenticate the request" err="[invalid bearer token, service account token has expired]"
secretName: web-tls
"secretName":"web-tls","defaultMode":420
key: value
data:\n  log-level: debug\n  mode: fast
pods "passbolt-1" not found
key=node.kubernetes.io/not-ready:NoSchedule
x509: certificate signed by unknown authority
MountVolume.SetUp failed for volume "kube-api-access-abcde"
secretKeyRef:\n  name: db\n  key: password
secretKeyRef: {name: db, key: password}
- name: DB_PASSWORD\n  valueFrom:\n    secretKeyRef:\n      name: db\n      key: password
{"name":"DB_PASSWORD","valueFrom":{"secretKeyRef":{"name":"db","key":"password"}}}
DB_PASSWORD:  <set to the key 'password' in secret 'db'>  Optional: false
Authentication failed
auth: forbidden
auth: unknown user
credential helper not found
credentials: access denied for the identity
error: credential: not found
sig-network
[sig-network] Services should serve
pass 1 of 3
bypass=true
compass: north
passed: 12, failed: 3
pass: true
docker run -p 8080:80 shop
kubectl port-forward -p 8080:80
kubectl patch deployment web -p '{"spec":{"replicas":0}}'
kubectl exec -u root web -- id
docker exec -u 0 web id
authorization mode: RBAC
--authorization-mode=Node,RBAC
authorization: denied by the webhook
unable to parse token: unexpected end of input
failed to acquire token: AADSTS7000215: Invalid client secret provided
failed to get token: 401 Unauthorized
failed to refresh token: Post "https://login.microsoftonline.com/x/oauth2/token": dial tcp: i/o timeout
failed to parse private key: asn1: structure error
tls: private key does not match public key
kubectl create secret docker-registry pull --docker-server=x --docker-username=USER --docker-password=PASSWORD
az aks update-credentials -g x -n y --reset-service-principal --service-principal APP_ID --client-secret SECRET
kubectl get secret db-creds -n shop -o yaml
kubectl create token web -n shop
kubectl delete secret -n shop web-tls
kubectl auth can-i list secrets --as=system:serviceaccount:shop:web
curl -H "Authorization: Bearer $TOKEN" https://x/api
curl -H "Authorization: Bearer ${TOKEN}" https://x/api
curl -kv https://prod-1.hcp.westeurope.azmk8s.io:443/healthz
curl -u ada https://shop.example:8443/
password=$DB_PASSWORD
password=${DB_PASSWORD}
password: $(DB_PASSWORD)
--token=$(kubectl create token web)
--token <token>
token: <redacted>
password: "***"
password=""
Password: [masked]
password: {{ .Values.db.password }}
serviceAccountToken:\n  expirationSeconds: 3607\n  path: token
automountServiceAccountToken: false
tokenExpirationSeconds: 3607
imagePullSecrets:\n- name: pull-7
imagePullSecrets: [{"name":"acr-pull1"}]
secret:\n  secretName: web-tls1
secret: web-tls
secret="shop/db-creds-k7d8f"
Couldn't get secret shop/db-creds: object "shop"/"db-creds" not registered
type: kubernetes.io/service-account-token
SharedAccessKeyName=RootManageSharedAccessKey
token_type=Bearer
token_endpoint: https://login.microsoftonline.com/x/oauth2/v2.0/token
max_tokens: 4096 tokens=12
https://host:8443/path/someone@example.org
https://contoso@dev.azure.com/contoso/shop/_git/shop
ssh://git@github.com/contoso/shop
nginx.ingress.kubernetes.io/auth-type: basic
nginx.ingress.kubernetes.io/auth-secret: basic-auth
PWD=/app
csi driver secrets-store.csi.k8s.io: 1.4.5
resources: ["secrets"], verbs: ["get", "list"]
apiserver_authentication_token_cache_requests{status="miss"} 12
az network nsg rule list -g x --nsg-name y
verb get, resource secrets: 12 requests
use --token to sign in, or --password when there is none
basic-authentication is off, Basic authentication required
the flag --password is deprecated
Basic dXNlcg is short
system:serviceaccount:kube-system:token-cleaner
bootstrap-token-abcdef in kube-system
tokenRequest: audience api
GET_ARM_TOKEN=120
"masks `password=`, and `token:` in JSON"
tls: handshake: psk mode off
passwd: files systemd
passwd:         compat
password: must be at least 8 characters
Password: authentication failed for user ada
password: rotation completed
failed to read password: inappropriate ioctl for device
could not reset password: operation not permitted
verify password: hash mismatch
incorrect password: try again
password: Required value
Password: access denied
Enter password: permission denied
Password: hasn't expired, it was changed
password: lookup timed out
"#;

/// A text in the places where it may stand.
fn places(text: &str) -> Vec<String> {
    let json = serde_json::to_string(text).unwrap();
    let twice = serde_json::to_string(&json).unwrap();
    vec![
        text.to_owned(),
        format!("{text}\nnext line"),
        format!("line before\n{text}"),
        format!("2026-11-23T10:02:03Z E worker failed: {text} (attempt 2)"),
        format!("E1123 10:02:03.000000 1 x.go:7] \"Failed\" err={json} pod=\"shop/web-1\""),
        format!("{{\"log\":{json},\"stream\":\"stderr\"}}"),
        format!("{{\"line\":{twice}}}"),
    ]
}

fn rows(table: &str) -> impl Iterator<Item = String> {
    table.lines().filter(|row| !row.is_empty()).map(|row| row.replace("\\n", "\n"))
}

fn masked(text: &str) -> String {
    mask(text).map_or_else(|| text.to_owned(), |masked| masked.text)
}

/// Whether a part of a secret is to be seen: five letters of it.
fn seen(secret: &str, text: &str) -> bool {
    let letters: Vec<char> = secret.chars().collect();
    letters.windows(5.min(letters.len())).any(|part| text.contains(&part.iter().collect::<String>()))
}

#[test]
fn every_form_is_masked_wherever_it_stands() {
    let mut open = Vec::new();
    for row in rows(FORMS_OF_FIELDS) {
        for text in places(&row.replace('§', VALUE)) {
            let shows = masked(&text);
            if seen(VALUE, &shows) || !shows.contains("[masked]") {
                open.push(format!("{text}\n   -> {shows}"));
            }
        }
    }
    assert!(open.is_empty(), "{} are open:\n{}", open.len(), open.join("\n"));
}

#[test]
fn a_quoted_value_is_masked_to_its_closing_quote() {
    let mut open = Vec::new();
    for value in ODD_VALUES {
        let json = serde_json::to_string(value).unwrap();
        let quoted = format!("'{}'", value.replace('\'', "''"));
        let mut forms = vec![
            format!("\"password\": {json}, \"user\": \"ada\""),
            format!("DB_PASSWORD={json} next"),
            format!("password: {quoted}"),
        ];
        if !value.contains(' ') {
            forms.push(format!("password={value} next"));
            forms.push(format!("password={value}"));
            forms.push(format!("password: {value}"));
        }
        for text in forms.iter().flat_map(|form| places(form)) {
            let shows = masked(&text);
            if seen(value, &shows) || !shows.contains("[masked]") {
                open.push(format!("{text}\n   -> {shows}"));
            }
        }
    }
    assert!(open.is_empty(), "{} are open:\n{}", open.len(), open.join("\n"));
}

#[test]
fn a_password_of_several_words_is_masked_to_the_end_of_its_line_or_to_the_next_field() {
    for (text, shows) in [
        ("password: correct horse battery", "password: [masked]"),
        ("db:\n  password: correct horse battery\n  user: ada", "db:\n  password: [masked]\n  user: ada"),
        ("- password: correct horse battery # of 2024", "- password: [masked] # of 2024"),
        ("ERROR Password: Correct Horse Battery user=ada", "ERROR Password: [masked] user=ada"),
        ("user=ada password: correct horse battery, host: db", "user=ada password: [masked], host: db"),
        (
            "worker failed: passphrase: correct horse battery (attempt 2)",
            "worker failed: passphrase: [masked] (attempt 2)",
        ),
        ("DB_PASSWORD=correct horse battery", "DB_PASSWORD=[masked]"),
        ("db.password = correct horse battery\ndb.user = ada", "db.password = [masked]\ndb.user = ada"),
        (
            "{\"log\":\"password: correct horse battery\\n\",\"x\":1}",
            "{\"log\":\"password: [masked]\\n\",\"x\":1}",
        ),
        (
            "- name: DB_PASSWORD\n  value: correct horse battery\n- name: x",
            "- name: DB_PASSWORD\n  value: [masked]\n- name: x",
        ),
        ("Kennwort: Hx7Kd92 mit Leerzeichen", "Kennwort: [masked]"),
        // What follows a value in a log is of the log.
        ("connect password=Hx7Kd92 failed, next", "connect password=[masked] failed, next"),
        ("dial with password: Hx7Kd92 was refused", "dial with password: [masked] was refused"),
    ] {
        assert_eq!(masked(text), shows);
    }
}

#[test]
fn a_quoted_value_of_several_lines_is_masked_to_its_closing_quote() {
    for (text, shows) in [
        ("password: \"Hx7Kd92\n  and more\"\nuser: ada", "password: \"[masked]\"\nuser: ada"),
        (
            "{\"password\":\"Hx7Kd92\\nand more\",\"user\":\"ada\"}",
            "{\"password\":\"[masked]\",\"user\":\"ada\"}",
        ),
        ("client_secret: 'Hx7Kd92\n\n  and more'", "client_secret: '[masked]'"),
        (
            "{\"log\":\"password=\\\"Hx7Kd92\\nand more\\\", user\\n\"}",
            "{\"log\":\"password=\\\"[masked]\\\", user\\n\"}",
        ),
        // One that nothing closes ends with its line.
        ("password=\"Hx7Kd92\nuser=\"ada\"", "password=\"[masked]\nuser=\"ada\""),
        ("password='Hx7Kd92\nit's over\nnext", "password='[masked]\nit's over\nnext"),
        (
            "{\"log\":\"password=\\\"Hx7Kd92\\nnext line\\n\",\"x\":1}",
            "{\"log\":\"password=\\\"[masked]\\nnext line\\n\",\"x\":1}",
        ),
    ] {
        assert_eq!(masked(text), shows);
    }
}

#[test]
fn what_is_no_secret_stays_byte_for_byte() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for row in rows(HARMLESS) {
        count += 1;
        for text in places(&row) {
            let shows = masked(&text);
            if shows != text {
                wrong.push(format!("{text}\n   -> {shows}"));
            }
        }
    }
    assert!(count > 100, "only {count} rows");
    assert!(wrong.is_empty(), "{} are masked:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_stands_around_a_secret_stays() {
    for (text, shows) in [
        ("host=db password=x7Kd92 port=1", "host=db password=[masked] port=1"),
        ("Password=x7;Kd92;Encrypt=True", "Password=[masked];Encrypt=True"),
        ("{\"password\":\"a\\\"b7\",\"x\":1}", "{\"password\":\"[masked]\",\"x\":1}"),
        ("https://x/?token=Kd92xyz&page=2", "https://x/?token=[masked]&page=2"),
        ("f(password=Kd92xyz)", "f(password=[masked])"),
        ("<password>a7</password><x/>", "<password>[masked]</password><x/>"),
        ("curl -u ada:Kd92 https://x/", "curl -u ada:[masked] https://x/"),
    ] {
        assert_eq!(masked(text), shows);
    }
}

#[test]
fn a_long_text_takes_no_longer_than_its_length() {
    // The first one builds the expressions.
    let times = [1, 1, 8].map(|scale| {
        let texts = ["token:\"a ", "password='", "token_", "\\", "curl -u ", "password=&", "\"data\":{"];
        let begin = std::time::Instant::now();
        for text in texts {
            drop(mask(&text.repeat(3_000 * scale / text.len())));
        }
        begin.elapsed().as_secs_f64()
    });
    assert!(times[2] < 30.0 * times[1].max(0.01), "{times:?}");
}

/// Secrets with the part of them that must not be seen.
const CORPUS: &[(&str, &str)] = &[
    ("Authorization: Bearer abcdefghijklmnop1234567890", "abcdefghijklmnop"),
    (
        "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQifQ.c2lnbmF0dXJlLW9mLWl0",
        "eyJzdWIi",
    ),
    ("password=hunter2hunter2", "hunter2"),
    ("\"clientSecret\": \"Zm8Q~abcdefghijklmnopqrstuvwxyz0123456789\"", "abcdefghijklmnop"),
    (
        "DefaultEndpointsProtocol=https;AccountName=x;AccountKey=QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo0MjQy==;EndpointSuffix=core.windows.net",
        "QUJDREVGR0hJ",
    ),
    (
        "Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=c2VjcmV0LXNlY3JldC1zZWNyZXQ0Mg==",
        "c2VjcmV0LXNl",
    ),
    ("https://x.blob.core.windows.net/c/b?sv=2024&sig=a1b2c3d4e5f6g7h8i9j0kk", "a1b2c3d4e5f6"),
    ("-----BEGIN RSA PRIVATE KEY-----MIIEpAIBAAKCAQEAxyzxyzxyzxyz-----END RSA PRIVATE KEY-----", "MIIEpAIB"),
    ("client-key-data: LS0tLS1CRUdJTiBLRVktLS0tLWFiY2RlZg==", "LS0tLS1CRUdJ"),
    ("postgres://shop:s3cr3tpass@db.example:5432/shop", "s3cr3tpass"),
    ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "ghp_abcdef"),
    ("ghp_abcdefghijklmnopqrstuvwxyzabcdefghij", "ghp_abcdef"),
    ("AKIAIOSFODNN7EXAMPLE and more words", "AKIAIOSF"),
    (r#"{"name":"DB_PASSWORD","value":"s3cr3t pass"}"#, "s3cr3t"),
    ("az login --service-principal --password hunter2hunter2", "hunter2"),
    ("api-key: 0123456789abcdef", "0123456789"),
    ("password=pa$$word12", "word12"),
    ("Authorization: Basic YTpiYw==", "YTpiYw"),
    ("redis://:s3cr3tpass@cache:6379", "s3cr3tpass"),
    ("amqp://shop:s3c/r3tpass@queue:5672", "r3tpass"),
];

fn redacted(text: &str) -> (String, usize) {
    mask(text).map_or_else(|| (text.to_owned(), 0), |masked| (masked.text, masked.secrets.len()))
}

#[test]
fn every_form_can_be_built() {
    assert_eq!(SECRETS.len(), FORMS.len());
}

#[test]
fn every_secret_is_masked_plain_escaped_encoded_and_broken_over_lines() {
    for (secret, hidden) in CORPUS {
        let json = serde_json::to_string(secret).unwrap();
        let twice = serde_json::to_string(&json).unwrap();
        let url: String = secret
            .bytes()
            .map(|byte| {
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            })
            .collect();
        let base64 = base64::engine::general_purpose::STANDARD.encode(secret);
        for text in [(*secret).to_owned(), json, twice, url, base64.clone(), format!("data: {base64} end")] {
            let (seen, masked) = redacted(&format!("before {text} after"));
            assert!(masked > 0 && !seen.contains(hidden), "{text}\n{seen}");
            assert!(!seen.contains(base64.as_str()), "{seen}");
            assert!(seen.starts_with("before ") && seen.ends_with(" after"), "{seen}");
        }
    }
}

#[test]
fn a_token_that_a_mail_program_broke_is_one() {
    let token = CORPUS[1].0;
    let (a, rest) = token.split_at(30);
    let (b, c) = rest.split_at(30);
    for text in [format!("token {a}\n    {b}\n    {c}\nnext line"), format!("{a}\\n{b}\\n{c}")] {
        let (seen, _) = redacted(&text);
        assert!(!seen.contains(&b[5..]) && !seen.contains(&c[..12]), "{seen}");
    }
    assert!(redacted("token eyJ\nnext line").0.ends_with("next line"));
}

#[test]
fn the_words_of_rbac_are_no_secrets() {
    for text in [
        r#"User "x" cannot create resource "serviceaccounts/token" in API group """#,
        "kubectl create secret docker-registry pull --docker-password=PASSWORD",
        "ServiceAccount kube-system/token-cleaner may not list secrets in namespace shop",
        "verb get, resource secrets: 12 requests",
        "az aks update-credentials --client-secret SECRET",
        "curl -H \"Authorization: Bearer $KUBE_TOKEN\" https://x/api",
        "token: <redacted>",
        "unable to parse token: unexpected end of input",
        "https://host:8443/path/someone@example.org",
    ] {
        assert_eq!(redacted(text), (text.to_owned(), 0));
    }
}
