//! What is expected, written out for people to read: the roles and rules of
//! the contract, never computed from the access table.

/// Who may do what to whose object: the status that each role gets with a key
/// for everything. An object that is somebody else's own, another team's,
/// deleted or absent is not there (404); one that is there, but not theirs to
/// change, is forbidden (403), as is every path of another team.
///
/// Objects: `own` is the caller's, `shared` the team's, `others` another
/// member's own, `foreign` another team's, `elsewhere` the caller's own in
/// another team. `a>b`: of a is to become b. `a+b`: both. `@team`: under
/// another team's path.
pub(super) const ROLES: &str = "
operation           object                  member  builder manager administrator owner

health              ours                    200     200     200     200           200
readiness           ours                    200     200     200     200           200

createSecret        own                     201     201     201     201           201
createSecret        shared                  403     403     201     201           201
createSecret        own@other               403     403     403     403           403
createSecret        own@unknown             403     403     403     403           403
createSecret        own@malformed           400     400     400     400           400
createSecretV1      own                     201     201     201     201           201
createSecretV1      shared                  403     403     201     201           201

listSecrets         ours                    200     200     200     200           200
listSecrets         ours@other              403     403     403     403           403
listSecrets         ours@unknown            403     403     403     403           403
listSecrets         ours@malformed          400     400     400     400           400
listSecretsV1       ours                    200     200     200     200           200

getSecret           own                     200     200     200     200           200
getSecret           shared                  200     200     200     200           200
getSecret           others                  404     404     404     404           404
getSecret           foreign                 404     404     404     404           404
getSecret           elsewhere               404     404     404     404           404
getSecret           own-deleted             404     404     404     404           404
getSecret           shared-deleted          404     404     404     404           404
getSecret           absent                  404     404     404     404           404
getSecret           malformed               400     400     400     400           400
getSecretV1         own                     200     200     200     200           200
getSecretV1         shared                  200     200     200     200           200
getSecretV1         others                  404     404     404     404           404
getSecretV1         foreign                 404     404     404     404           404
getSecretV1         elsewhere               404     404     404     404           404
getSecretV1         shared-deleted          404     404     404     404           404
getSecretV1         absent                  404     404     404     404           404
getSecretV1         malformed               400     400     400     400           400

updateSecret        own                     200     200     200     200           200
updateSecret        own>own                 200     200     200     200           200
updateSecret        own>shared              403     403     200     200           200
updateSecret        shared                  403     403     200     200           200
updateSecret        shared>shared           403     403     200     200           200
updateSecret        shared>own              403     403     200     200           200
updateSecret        others                  404     404     404     404           404
updateSecret        others>shared           404     404     404     404           404
updateSecret        foreign                 404     404     404     404           404
updateSecret        elsewhere               404     404     404     404           404
updateSecret        own-deleted             404     404     404     404           404
updateSecret        shared-deleted          404     404     404     404           404
updateSecret        absent                  404     404     404     404           404
updateSecret        malformed               400     400     400     400           400
updateSecretV1      own                     200     200     200     200           200
updateSecretV1      own>shared              403     403     200     200           200
updateSecretV1      shared                  403     403     200     200           200
updateSecretV1      shared>own              403     403     200     200           200
updateSecretV1      others                  404     404     404     404           404
updateSecretV1      foreign                 404     404     404     404           404
updateSecretV1      absent                  404     404     404     404           404
updateSecretV1      malformed               400     400     400     400           400

deleteSecret        own                     200     200     200     200           200
deleteSecret        shared                  403     403     200     200           200
deleteSecret        others                  404     404     404     404           404
deleteSecret        foreign                 404     404     404     404           404
deleteSecret        elsewhere               404     404     404     404           404
deleteSecret        own-deleted             404     404     404     404           404
deleteSecret        shared-deleted          404     404     404     404           404
deleteSecret        absent                  404     404     404     404           404
deleteSecret        malformed               400     400     400     400           400
deleteSecretV1      own                     200     200     200     200           200
deleteSecretV1      shared                  403     403     200     200           200
deleteSecretV1      others                  404     404     404     404           404
deleteSecretV1      foreign                 404     404     404     404           404
deleteSecretV1      absent                  404     404     404     404           404
deleteSecretV1      malformed               400     400     400     400           400

listSecretVersions  own                     200     200     200     200           200
listSecretVersions  shared                  200     200     200     200           200
listSecretVersions  others                  404     404     404     404           404
listSecretVersions  foreign                 404     404     404     404           404
listSecretVersions  elsewhere               404     404     404     404           404
listSecretVersions  own-deleted             404     404     404     404           404
listSecretVersions  shared-deleted          404     404     404     404           404
listSecretVersions  absent                  404     404     404     404           404
listSecretVersions  malformed               400     400     400     400           400

rollbackSecret      own                     200     200     200     200           200
rollbackSecret      shared                  403     403     200     200           200
rollbackSecret      others                  404     404     404     404           404
rollbackSecret      foreign                 404     404     404     404           404
rollbackSecret      elsewhere               404     404     404     404           404
rollbackSecret      own-deleted             404     404     404     404           404
rollbackSecret      shared-deleted          404     404     404     404           404
rollbackSecret      absent                  404     404     404     404           404
rollbackSecret      malformed               400     400     400     400           400

undeleteSecret      own-deleted             200     200     200     200           200
undeleteSecret      shared-deleted          403     403     200     200           200
undeleteSecret      others-deleted          404     404     404     404           404
undeleteSecret      foreign-deleted         404     404     404     404           404
undeleteSecret      own                     200     200     200     200           200
undeleteSecret      shared                  403     403     200     200           200
undeleteSecret      others                  404     404     404     404           404
undeleteSecret      absent                  404     404     404     404           404
undeleteSecret      malformed               400     400     400     400           400

copySecret          own>own                 201     201     201     201           201
copySecret          own>shared              403     403     201     201           201
copySecret          shared>own              403     403     201     201           201
copySecret          shared>shared           403     403     201     201           201
copySecret          others>own              404     404     404     404           404
copySecret          others>shared           404     404     404     404           404
copySecret          foreign>own             404     404     404     404           404
copySecret          elsewhere>own           404     404     404     404           404
copySecret          own-deleted>own         404     404     404     404           404
copySecret          shared-deleted>own      404     404     404     404           404
copySecret          absent>own              404     404     404     404           404
copySecret          malformed>own           400     400     400     400           400

compareSecrets      own+own                 200     200     200     200           200
compareSecrets      own+shared              403     403     200     200           200
compareSecrets      shared+own              403     403     200     200           200
compareSecrets      shared+shared           403     403     200     200           200
compareSecrets      own+others              404     404     404     404           404
compareSecrets      others+own              404     404     404     404           404
compareSecrets      others+shared           404     404     404     404           404
compareSecrets      shared+others           403     403     404     404           404
compareSecrets      own+foreign             404     404     404     404           404
compareSecrets      foreign+own             404     404     404     404           404
compareSecrets      own+shared-deleted      404     404     404     404           404
compareSecrets      own+absent              404     404     404     404           404
compareSecrets      absent+own              404     404     404     404           404
compareSecrets      shared+absent           403     403     404     404           404
compareSecrets      own+malformed           400     400     400     400           400
compareSecrets      own+own@other           403     403     403     403           403
compareSecrets      own+own@unknown         403     403     403     403           403
compareSecrets      own+own@malformed       400     400     400     400           400

getProfile          self                    200     200     200     200           200

listTeams           ours                    200     200     200     200           200
createTeam          new                     403     403     403     403           201
getTeam             ours                    200     200     200     200           200
getTeam             ours@other              403     403     403     403           403
getTeam             ours@unknown            403     403     403     403           403
getTeam             ours@malformed          400     400     400     400           400
updateTeam          ours                    403     403     403     200           200
updateTeam          ours@other              403     403     403     403           403
updateTeam          ours@unknown            403     403     403     403           403
updateTeam          ours@malformed          400     400     400     400           400
deleteTeam          ours                    403     403     403     403           200
deleteTeam          ours@other              403     403     403     403           403
deleteTeam          ours@unknown            403     403     403     403           403
deleteTeam          ours@malformed          400     400     400     400           400
undeleteTeam        ours                    403     403     403     403           200
undeleteTeam        ours-deleted            403     403     403     403           200
undeleteTeam        ours@other              403     403     403     403           403
undeleteTeam        ours@unknown            403     403     403     403           403
undeleteTeam        ours@malformed          400     400     400     400           400

listMembers         ours                    200     200     200     200           200
listMembers         ours@other              403     403     403     403           403
listMembers         ours@unknown            403     403     403     403           403
listMembers         ours@malformed          400     400     400     400           400

addMember           person>member           403     403     403     201           201
addMember           person>builder          403     403     403     201           201
addMember           person>manager          403     403     403     201           201
addMember           person>administrator    403     403     403     201           201
addMember           person>owner            403     403     403     403           201
addMember           service>member          403     403     403     201           201
addMember           service>administrator   403     403     403     201           201
addMember           service>owner           403     403     403     403           201
addMember           removed>member          403     403     403     201           201
addMember           removed>owner           403     403     403     403           201
addMember           known>member            403     403     403     201           201
addMember           known>owner             403     403     403     403           201
addMember           builder>member          403     403     403     409           409
addMember           owner>member            403     403     403     409           409
addMember           foreign>member          403     403     403     404           404
addMember           absent>member           403     403     403     404           404
addMember           malformed>member        403     403     403     400           400
addMember           person>member@other     403     403     403     403           403
addMember           person>member@unknown   403     403     403     403           403
addMember           person>member@malformed 400     400     400     400           400

updateMember        member>member           403     403     403     200           200
updateMember        member>builder          403     403     403     200           200
updateMember        member>manager          403     403     403     200           200
updateMember        member>administrator    403     403     403     200           200
updateMember        member>owner            403     403     403     403           200
updateMember        builder>member          403     403     403     200           200
updateMember        builder>builder         403     403     403     200           200
updateMember        builder>manager         403     403     403     200           200
updateMember        builder>administrator   403     403     403     200           200
updateMember        builder>owner           403     403     403     403           200
updateMember        manager>member          403     403     403     200           200
updateMember        manager>builder         403     403     403     200           200
updateMember        manager>manager         403     403     403     200           200
updateMember        manager>administrator   403     403     403     200           200
updateMember        manager>owner           403     403     403     403           200
updateMember        administrator>member    403     403     403     200           200
updateMember        administrator>builder   403     403     403     200           200
updateMember        administrator>manager   403     403     403     200           200
updateMember        administrator>administrator 403 403     403     200           200
updateMember        administrator>owner     403     403     403     403           200
updateMember        owner>member            403     403     403     403           200
updateMember        owner>builder           403     403     403     403           200
updateMember        owner>manager           403     403     403     403           200
updateMember        owner>administrator     403     403     403     403           200
updateMember        owner>owner             403     403     403     403           200
updateMember        self>member             200     200     200     200           200
updateMember        self>builder            403     200     200     200           200
updateMember        self>manager            403     403     200     200           200
updateMember        self>administrator      403     403     403     200           200
updateMember        self>owner              403     403     403     403           200
updateMember        removed>member          404     404     404     404           404
updateMember        foreign>member          404     404     404     404           404
updateMember        absent>member           404     404     404     404           404
updateMember        malformed>member        400     400     400     400           400
updateMember        member>member@other     403     403     403     403           403
updateMember        member>member@unknown   403     403     403     403           403
updateMember        member>member@malformed 400     400     400     400           400

removeMember        self                    200     200     200     200           200
removeMember        member                  403     403     403     200           200
removeMember        builder                 403     403     403     200           200
removeMember        manager                 403     403     403     200           200
removeMember        administrator           403     403     403     200           200
removeMember        owner                   403     403     403     403           200
removeMember        removed                 404     404     404     404           404
removeMember        foreign                 404     404     404     404           404
removeMember        absent                  404     404     404     404           404
removeMember        malformed               400     400     400     400           400
removeMember        member@other            403     403     403     403           403
removeMember        member@unknown          403     403     403     403           403
removeMember        member@malformed        400     400     400     400           400

listApiKeys         ours                    200     200     200     200           200
listApiKeys         ours@other              403     403     403     403           403
listApiKeys         ours@unknown            403     403     403     403           403
listApiKeys         ours@malformed          400     400     400     400           400

createApiKey        self                    403     403     403     201           201
createApiKey        self>member             403     403     403     201           201
createApiKey        self>administrator      403     403     403     201           201
createApiKey        self>owner              403     403     403     403           201
createApiKey        service-member          403     403     403     201           201
createApiKey        service-member>member   403     403     403     201           201
createApiKey        service-member>builder  403     403     403     403           403
createApiKey        service-owner           403     403     403     403           201
createApiKey        member                  403     403     403     403           403
createApiKey        owner                   403     403     403     403           403
createApiKey        removed                 403     403     403     404           404
createApiKey        foreign                 403     403     403     404           404
createApiKey        absent                  403     403     403     404           404
createApiKey        malformed               403     403     403     400           400
createApiKey        self@other              403     403     403     403           403
createApiKey        self@unknown            403     403     403     403           403
createApiKey        self@malformed          400     400     400     400           400

revokeApiKey        self                    200     200     200     200           200
revokeApiKey        this                    200     200     200     200           200
revokeApiKey        self-revoked            200     200     200     200           200
revokeApiKey        member                  404     404     404     200           200
revokeApiKey        builder                 404     404     404     200           200
revokeApiKey        manager                 404     404     404     200           200
revokeApiKey        administrator           404     404     404     200           200
revokeApiKey        owner                   404     404     404     403           200
revokeApiKey        removed                 404     404     404     200           200
revokeApiKey        foreign                 404     404     404     404           404
revokeApiKey        elsewhere               404     404     404     404           404
revokeApiKey        absent                  404     404     404     404           404
revokeApiKey        malformed               400     400     400     400           400
revokeApiKey        self@other              403     403     403     403           403
revokeApiKey        self@unknown            403     403     403     403           403
revokeApiKey        self@malformed          400     400     400     400           400

listKeyLinks        ours                    403     403     403     200           200
listKeyLinks        ours@other              403     403     403     403           403
listKeyLinks        ours@unknown            403     403     403     403           403
listKeyLinks        ours@malformed          400     400     400     400           400

createKeyLink       self                    403     403     403     201           201
createKeyLink       self>owner              403     403     403     403           201
createKeyLink       member                  403     403     403     201           201
createKeyLink       builder                 403     403     403     201           201
createKeyLink       builder>builder         403     403     403     201           201
createKeyLink       builder>manager         403     403     403     403           403
createKeyLink       manager                 403     403     403     201           201
createKeyLink       administrator           403     403     403     201           201
createKeyLink       owner                   403     403     403     403           201
createKeyLink       owner>member            403     403     403     403           201
createKeyLink       removed                 403     403     403     404           404
createKeyLink       foreign                 403     403     403     404           404
createKeyLink       absent                  403     403     403     404           404
createKeyLink       malformed               403     403     403     400           400
createKeyLink       member@other            403     403     403     403           403
createKeyLink       member@unknown          403     403     403     403           403
createKeyLink       member@malformed        400     400     400     400           400

cancelKeyLink       member                  403     403     403     200           200
cancelKeyLink       owner                   403     403     403     403           200
cancelKeyLink       used                    403     403     403     404           404
cancelKeyLink       withdrawn               403     403     403     404           404
cancelKeyLink       foreign                 403     403     403     404           404
cancelKeyLink       absent                  403     403     403     404           404
cancelKeyLink       malformed               403     403     403     400           400
cancelKeyLink       member@other            403     403     403     403           403
cancelKeyLink       member@unknown          403     403     403     403           403
cancelKeyLink       member@malformed        400     400     400     400           400

claimKeyLink        self                    201     201     201     201           201
claimKeyLink        used                    401     401     401     401           401
claimKeyLink        withdrawn               401     401     401     401           401
claimKeyLink        key                     401     401     401     401           401
";

/// The same for keys of an owner that are for a lower role: the key decides,
/// and where the caller is the object, the owner is above their own key. All
/// else is as in [`ROLES`].
pub(super) const LOW_KEYS: &str = "
operation           object                  member  builder manager administrator owner

updateMember        self>member             403     403     403     403           200
updateMember        self>builder            403     403     403     403           200
updateMember        self>manager            403     403     403     403           200
updateMember        self>administrator      403     403     403     403           200
updateMember        self>owner              403     403     403     403           200
removeMember        self                    403     403     403     403           200
createApiKey        self                    403     403     403     201           201
createApiKey        self>member             403     403     403     201           201
createApiKey        self>administrator      403     403     403     201           201
createApiKey        self>owner              403     403     403     403           201
revokeApiKey        this                    200     200     200     200           200
revokeApiKey        self                    403     403     403     403           200
revokeApiKey        self-revoked            403     403     403     403           200
createKeyLink       self                    403     403     403     201           201
createKeyLink       self>owner              403     403     403     403           201
";

/// Rows of [`ROLES`] where nothing is left to do for the lowest role that may,
/// so that doing it for real writes nothing.
pub(super) const DONE_ALREADY: [(&str, &str); 19] = [
    ("updateSecret", "own>own"),
    ("updateSecret", "shared>shared"),
    ("rollbackSecret", "own"),
    ("rollbackSecret", "shared"),
    ("undeleteSecret", "own"),
    ("undeleteSecret", "shared"),
    ("undeleteTeam", "ours"),
    ("updateMember", "member>member"),
    ("updateMember", "builder>builder"),
    ("updateMember", "manager>manager"),
    ("updateMember", "administrator>administrator"),
    ("updateMember", "owner>owner"),
    ("updateMember", "self>member"),
    ("updateMember", "self>builder"),
    ("updateMember", "self>manager"),
    ("updateMember", "self>administrator"),
    ("updateMember", "self>owner"),
    ("revokeApiKey", "self-revoked"),
    ("revokeApiKey", "removed"),
];

/// A comparison tells more than that it could be made, so it is recorded even
/// when it was only to be tried.
pub(super) const ALWAYS_RECORDED: &str = "compareSecrets";

/// What a key must be for: one scope (`|`: or the other; `!`: and it must lack
/// none), and an object that an owner may do it to. `any`: any key will do. `link`: a key link, and no key. `open`:
/// nothing at all.
pub(super) const SCOPES: &str = "
operation           scope           object

health              open            ours
readiness           open            ours
createSecret        secrets:write   own
createSecretV1      secrets:write   own
listSecrets         secrets:read    ours
listSecretsV1       secrets:read    ours
getSecret           secrets:read    own
getSecretV1         secrets:read    own
updateSecret        secrets:write   own
updateSecretV1      secrets:write   own
deleteSecret        secrets:write   own
deleteSecretV1      secrets:write   own
listSecretVersions  secrets:read    own
rollbackSecret      secrets:write   own
undeleteSecret      secrets:write   own
copySecret          secrets:write   own>own
compareSecrets      secrets:write   own+own
getProfile          any             self
listTeams           team:read|admin ours
createTeam          admin!          new
getTeam             team:read|admin ours
updateTeam          admin           ours
deleteTeam          admin           ours
undeleteTeam        admin           ours
listMembers         team:read|admin ours
addMember           admin           service>member
updateMember        admin           member>builder
removeMember        admin           member
listApiKeys         admin           ours
createApiKey        admin           self
revokeApiKey        admin           self
listKeyLinks        admin           ours
createKeyLink       admin           member
cancelKeyLink       admin           member
claimKeyLink        link            self
";
