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
/// another team's path. `a:b`: a in or of b. `a=b`: b, which is such a thing.
///
/// Agents are the team's: `bare` has no revision, `ours` a live one and `later`
/// another; `mixed` is a revision of another agent than the path names,
/// `build-…` one that isn't `ours` under an agent that is. Runs: `orphaned` has
/// lost its agent. Somebody who is a mere member by now was a builder when they
/// started a run of their `own`. An event is the team's when somebody else did it. A request to fill in a secret that is `…-run` was
/// asked for in a run.
pub(super) const ROLES: &str = "
operation           object                  member  builder manager administrator owner

health              ours                    200     200     200     200           200
readiness           ours                    200     200     200     200           200
getVerifierKeys     ours                    200     200     200     200           200

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

getSecretPolicy     own                     200     200     200     200           200
getSecretPolicy     shared                  200     200     200     200           200
getSecretPolicy     others                  404     404     404     404           404
getSecretPolicy     foreign                 404     404     404     404           404
getSecretPolicy     elsewhere               404     404     404     404           404
getSecretPolicy     own-deleted             404     404     404     404           404
getSecretPolicy     shared-deleted          404     404     404     404           404
getSecretPolicy     absent                  404     404     404     404           404
getSecretPolicy     malformed               400     400     400     400           400

setSecretPolicy     own                     200     200     200     200           200
setSecretPolicy     shared                  403     403     200     200           200
setSecretPolicy     others                  404     404     404     404           404
setSecretPolicy     foreign                 404     404     404     404           404
setSecretPolicy     elsewhere               404     404     404     404           404
setSecretPolicy     own-deleted             404     404     404     404           404
setSecretPolicy     shared-deleted          404     404     404     404           404
setSecretPolicy     absent                  404     404     404     404           404
setSecretPolicy     malformed               400     400     400     400           400

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

getTeamKeys         ours                    403     403     403     200           200
getTeamKeys         ours@other              403     403     403     403           403
getTeamKeys         ours@unknown            403     403     403     403           403
getTeamKeys         ours@malformed          400     400     400     400           400
rotateTeamKey       ours                    403     403     403     403           201
rotateTeamKey       ours@other              403     403     403     403           403
rotateTeamKey       ours@unknown            403     403     403     403           403
rotateTeamKey       ours@malformed          400     400     400     400           400

listMembers         ours                    200     200     200     200           200
listMembers         ours@other              403     403     403     403           403
listMembers         ours@unknown            403     403     403     403           403
listMembers         ours@malformed          400     400     400     400           400

listEvents          ours                    200     200     200     200           200
listEvents          ours@other              403     403     403     403           403
listEvents          ours@unknown            403     403     403     403           403
listEvents          ours@malformed          400     400     400     400           400

exportEvents        ours                    200     200     200     200           200
exportEvents        ours@other              403     403     403     403           403
exportEvents        ours@unknown            403     403     403     403           403
exportEvents        ours@malformed          400     400     400     400           400

proveEvent          own                     200     200     200     200           200
proveEvent          shared                  404     404     404     200           200
proveEvent          foreign                 404     404     404     404           404
proveEvent          absent                  404     404     404     404           404
proveEvent          malformed               400     400     400     400           400
proveEvent          shared@other            403     403     403     403           403
proveEvent          shared@unknown          403     403     403     403           403
proveEvent          shared@malformed        400     400     400     400           400

getCheckpoint       ours                    200     200     200     200           200
proveConsistency    ours                    200     200     200     200           200

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

createFillRequest   own                     201     201     201     201           201
createFillRequest   own@other               403     403     403     403           403
createFillRequest   own@unknown             403     403     403     403           403
createFillRequest   own@malformed           400     400     400     400           400

listFillRequests    ours                    200     200     200     200           200
listFillRequests    ours@other              403     403     403     403           403
listFillRequests    ours@unknown            403     403     403     403           403
listFillRequests    ours@malformed          400     400     400     400           400

getFillRequest      own                     200     200     200     200           200
getFillRequest      own-filled              200     200     200     200           200
getFillRequest      own-cancelled           200     200     200     200           200
getFillRequest      own-expired             200     200     200     200           200
getFillRequest      others                  404     404     200     200           200
getFillRequest      others-run              404     404     200     200           200
getFillRequest      others-filled           404     404     200     200           200
getFillRequest      others-cancelled        404     404     200     200           200
getFillRequest      foreign                 404     404     404     404           404
getFillRequest      elsewhere               404     404     404     404           404
getFillRequest      absent                  404     404     404     404           404
getFillRequest      malformed               400     400     400     400           400
getFillRequest      own@other               403     403     403     403           403
getFillRequest      own@unknown             403     403     403     403           403
getFillRequest      own@malformed           400     400     400     400           400

cancelFillRequest   own                     200     200     200     200           200
cancelFillRequest   own-filled              404     404     404     404           404
cancelFillRequest   own-cancelled           404     404     404     404           404
cancelFillRequest   own-expired             404     404     404     404           404
cancelFillRequest   others                  404     404     200     200           200
cancelFillRequest   others-run              404     404     200     200           200
cancelFillRequest   others-filled           404     404     404     404           404
cancelFillRequest   others-cancelled        404     404     404     404           404
cancelFillRequest   foreign                 404     404     404     404           404
cancelFillRequest   elsewhere               404     404     404     404           404
cancelFillRequest   absent                  404     404     404     404           404
cancelFillRequest   malformed               400     400     400     400           400
cancelFillRequest   own@other               403     403     403     403           403
cancelFillRequest   own@unknown             403     403     403     403           403
cancelFillRequest   own@malformed           400     400     400     400           400

claimKeyLink        self                    201     201     201     201           201
claimKeyLink        used                    401     401     401     401           401
claimKeyLink        withdrawn               401     401     401     401           401
claimKeyLink        key                     401     401     401     401           401

createAgent         new                     403     201     201     201           201
createAgent         new@other               403     403     403     403           403
createAgent         new@unknown             403     403     403     403           403
createAgent         new@malformed           400     400     400     400           400

listAgents          ours                    200     200     200     200           200
listAgents          ours@other              403     403     403     403           403
listAgents          ours@unknown            403     403     403     403           403
listAgents          ours@malformed          400     400     400     400           400

getAgent            ours                    200     200     200     200           200
getAgent            foreign                 404     404     404     404           404
getAgent            deleted                 404     404     404     404           404
getAgent            absent                  404     404     404     404           404
getAgent            malformed               400     400     400     400           400

updateAgent         ours                    403     200     200     200           200
updateAgent         ours>same               403     200     200     200           200
updateAgent         foreign                 403     404     404     404           404
updateAgent         deleted                 403     404     404     404           404
updateAgent         absent                  403     404     404     404           404
updateAgent         malformed               403     400     400     400           400

deleteAgent         ours                    403     403     200     200           200
deleteAgent         foreign                 403     403     404     404           404
deleteAgent         deleted                 403     403     404     404           404
deleteAgent         absent                  403     403     404     404           404
deleteAgent         malformed               403     403     400     400           400

createRevision      ours                    403     201     201     201           201
createRevision      bare                    403     201     201     201           201
createRevision      foreign                 403     404     404     404           404
createRevision      deleted                 403     404     404     404           404
createRevision      absent                  403     404     404     404           404
createRevision      malformed               403     400     400     400           400

listRevisions       ours                    200     200     200     200           200
listRevisions       bare                    200     200     200     200           200
listRevisions       foreign                 404     404     404     404           404
listRevisions       deleted                 404     404     404     404           404
listRevisions       absent                  404     404     404     404           404
listRevisions       malformed               400     400     400     400           400

getRevision         ours                    200     200     200     200           200
getRevision         later                   200     200     200     200           200
getRevision         mixed                   404     404     404     404           404
getRevision         foreign                 404     404     404     404           404
getRevision         build-foreign           404     404     404     404           404
getRevision         deleted                 404     404     404     404           404
getRevision         absent                  404     404     404     404           404
getRevision         build-absent            404     404     404     404           404
getRevision         malformed               400     400     400     400           400
getRevision         build-malformed         400     400     400     400           400

promoteRevision     later                   403     200     200     200           200
promoteRevision     ours                    403     200     200     200           200
promoteRevision     ours>renamed            403     200     200     200           200
promoteRevision     foreign                 403     404     404     404           404
promoteRevision     deleted                 403     404     404     404           404
promoteRevision     absent                  403     404     404     404           404
promoteRevision     build-malformed         403     400     400     400           400

listRevisionSecrets ours                    200     200     200     200           200
listRevisionSecrets mixed                   404     404     404     404           404
listRevisionSecrets foreign                 404     404     404     404           404
listRevisionSecrets build-foreign           404     404     404     404           404
listRevisionSecrets deleted                 404     404     404     404           404
listRevisionSecrets absent                  404     404     404     404           404
listRevisionSecrets build-absent            404     404     404     404           404
listRevisionSecrets malformed               400     400     400     400           400
listRevisionSecrets build-malformed         400     400     400     400           400
listRevisionSecretsV1 ours                  200     200     200     200           200
listRevisionSecretsV1 mixed                 404     404     404     404           404
listRevisionSecretsV1 foreign               404     404     404     404           404
listRevisionSecretsV1 deleted               404     404     404     404           404
listRevisionSecretsV1 absent                404     404     404     404           404
listRevisionSecretsV1 malformed             400     400     400     400           400

attachRevisionSecret own                    201     201     201     201           201
attachRevisionSecret shared                 403     201     201     201           201
attachRevisionSecret own-attached           409     409     409     409           409
attachRevisionSecret shared-attached        403     409     409     409           409
attachRevisionSecret others                 404     404     404     404           404
attachRevisionSecret others-attached        404     404     404     404           404
attachRevisionSecret foreign                404     404     404     404           404
attachRevisionSecret elsewhere              404     404     404     404           404
attachRevisionSecret own-deleted            404     404     404     404           404
attachRevisionSecret shared-deleted         404     404     404     404           404
attachRevisionSecret absent                 404     404     404     404           404
attachRevisionSecret malformed              400     400     400     400           400
attachRevisionSecret own:mixed              404     404     404     404           404
attachRevisionSecret own:foreign            404     404     404     404           404
attachRevisionSecret own:build-foreign      404     404     404     404           404
attachRevisionSecret own:deleted            404     404     404     404           404
attachRevisionSecret own:absent             404     404     404     404           404
attachRevisionSecret own:build-absent       404     404     404     404           404
attachRevisionSecret own:malformed          400     400     400     400           400
attachRevisionSecret own:build-malformed    400     400     400     400           400
attachRevisionSecret shared:absent          404     404     404     404           404
attachRevisionSecret shared:foreign         404     404     404     404           404
attachRevisionSecret foreign:foreign        404     404     404     404           404
attachRevisionSecret elsewhere:foreign      404     404     404     404           404
attachRevisionSecretV1 own                  201     201     201     201           201
attachRevisionSecretV1 shared               403     201     201     201           201
attachRevisionSecretV1 own-attached         409     409     409     409           409
attachRevisionSecretV1 others               404     404     404     404           404
attachRevisionSecretV1 foreign              404     404     404     404           404
attachRevisionSecretV1 shared-deleted       404     404     404     404           404
attachRevisionSecretV1 absent               404     404     404     404           404
attachRevisionSecretV1 malformed            400     400     400     400           400
attachRevisionSecretV1 own:foreign          404     404     404     404           404
attachRevisionSecretV1 own:absent           404     404     404     404           404

detachRevisionSecret own                    200     200     200     200           200
detachRevisionSecret shared                 403     200     200     200           200
detachRevisionSecret own-loose              404     404     404     404           404
detachRevisionSecret shared-loose           403     404     404     404           404
detachRevisionSecret others                 404     404     404     404           404
detachRevisionSecret foreign                404     404     404     404           404
detachRevisionSecret elsewhere              404     404     404     404           404
detachRevisionSecret own-deleted            404     404     404     404           404
detachRevisionSecret shared-deleted         404     404     404     404           404
detachRevisionSecret absent                 404     404     404     404           404
detachRevisionSecret malformed              400     400     400     400           400
detachRevisionSecret own:later              404     404     404     404           404
detachRevisionSecret own:mixed              404     404     404     404           404
detachRevisionSecret own:foreign            404     404     404     404           404
detachRevisionSecret own:deleted            404     404     404     404           404
detachRevisionSecret own:absent             404     404     404     404           404
detachRevisionSecret own:build-absent       404     404     404     404           404
detachRevisionSecret own:malformed          400     400     400     400           400
detachRevisionSecret own:build-malformed    400     400     400     400           400
detachRevisionSecretV1 own                  200     200     200     200           200
detachRevisionSecretV1 shared               403     200     200     200           200
detachRevisionSecretV1 own-loose            404     404     404     404           404
detachRevisionSecretV1 others               404     404     404     404           404
detachRevisionSecretV1 foreign              404     404     404     404           404
detachRevisionSecretV1 absent               404     404     404     404           404
detachRevisionSecretV1 malformed            400     400     400     400           400

previewEnvironment  ours                    403     200     200     200           200
previewEnvironment  mixed                   403     404     404     404           404
previewEnvironment  foreign                 403     404     404     404           404
previewEnvironment  build-foreign           403     404     404     404           404
previewEnvironment  deleted                 403     404     404     404           404
previewEnvironment  absent                  403     404     404     404           404
previewEnvironment  build-absent            403     404     404     404           404
previewEnvironment  malformed               403     400     400     400           400
previewEnvironment  build-malformed         403     400     400     400           400

startRun            ours                    403     201     201     201           201
startRun            ours:ours               403     201     201     201           201
startRun            ours:later              403     201     201     201           201
startRun            ours:mixed              403     404     404     404           404
startRun            ours:foreign            403     404     404     404           404
startRun            ours:absent             403     404     404     404           404
startRun            ours:build-malformed    403     400     400     400           400
startRun            bare                    403     409     409     409           409
startRun            bare:absent             403     404     404     404           404
startRun            foreign                 403     404     404     404           404
startRun            foreign:foreign         403     404     404     404           404
startRun            deleted                 403     404     404     404           404
startRun            deleted:deleted         403     404     404     404           404
startRun            absent                  403     404     404     404           404
startRun            malformed               403     400     400     400           400
startRun            ours@other              403     403     403     403           403
startRun            foreign@other           403     403     403     403           403
startRun            ours@unknown            403     403     403     403           403
startRun            ours@malformed          400     400     400     400           400

listRuns            ours                    200     200     200     200           200
listRuns            of:ours                 200     200     200     200           200
listRuns            of:foreign              404     404     404     404           404
listRuns            of:deleted              404     404     404     404           404
listRuns            of:absent               404     404     404     404           404
listRuns            of:malformed            400     400     400     400           400
listRuns            ours@other              403     403     403     403           403
listRuns            ours@unknown            403     403     403     403           403
listRuns            ours@malformed          400     400     400     400           400

getRun              own                     200     200     200     200           200
getRun              own-stopped             200     200     200     200           200
getRun              own-orphaned            200     200     200     200           200
getRun              others                  200     200     200     200           200
getRun              foreign                 404     404     404     404           404
getRun              elsewhere               404     404     404     404           404
getRun              absent                  404     404     404     404           404
getRun              malformed               400     400     400     400           400

stopRun             own                     200     200     200     200           200
stopRun             own-stopped             200     200     200     200           200
stopRun             own-expired             200     200     200     200           200
stopRun             own-revoked             200     200     200     200           200
stopRun             others                  403     403     200     200           200
stopRun             others-stopped          403     403     200     200           200
stopRun             foreign                 404     404     404     404           404
stopRun             elsewhere               404     404     404     404           404
stopRun             absent                  404     404     404     404           404
stopRun             malformed               400     400     400     400           400

listDeliveries      own                     200     200     200     200           200
listDeliveries      own-stopped             200     200     200     200           200
listDeliveries      own-orphaned            200     200     200     200           200
listDeliveries      others                  403     403     200     200           200
listDeliveries      others-stopped          403     403     200     200           200
listDeliveries      foreign                 404     404     404     404           404
listDeliveries      elsewhere               404     404     404     404           404
listDeliveries      absent                  404     404     404     404           404
listDeliveries      malformed               400     400     400     400           400

listRunRequests     own                     200     200     200     200           200
listRunRequests     own-stopped             200     200     200     200           200
listRunRequests     own-orphaned            200     200     200     200           200
listRunRequests     others                  403     403     200     200           200
listRunRequests     others-stopped          403     403     200     200           200
listRunRequests     foreign                 404     404     404     404           404
listRunRequests     elsewhere               404     404     404     404           404
listRunRequests     absent                  404     404     404     404           404
listRunRequests     malformed               400     400     400     400           400

listSecretRuns      own                     200     200     200     200           200
listSecretRuns      shared                  200     200     200     200           200
listSecretRuns      others                  404     404     404     404           404
listSecretRuns      foreign                 404     404     404     404           404
listSecretRuns      elsewhere               404     404     404     404           404
listSecretRuns      own-deleted             404     404     404     404           404
listSecretRuns      shared-deleted          404     404     404     404           404
listSecretRuns      absent                  404     404     404     404           404
listSecretRuns      malformed               400     400     400     400           400

panic               run=own                 200     200     200     200           200
panic               run=own-stopped         200     200     200     200           200
panic               run=own-orphaned        200     200     200     200           200
panic               run=others              403     403     403     200           200
panic               run=others-stopped      403     403     403     200           200
panic               run=foreign             404     404     404     404           404
panic               run=elsewhere           404     404     404     404           404
panic               run=absent              404     404     404     404           404
panic               run=malformed           400     400     400     400           400
panic               agent=ours              403     403     403     200           200
panic               agent=bare              403     403     403     200           200
panic               agent=foreign           403     403     403     404           404
panic               agent=deleted           403     403     403     200           200
panic               agent=absent            403     403     403     404           404
panic               agent=malformed         400     400     400     400           400
panic               key=this                200     200     200     200           200
panic               key=self                200     200     200     200           200
panic               key=self-revoked        200     200     200     200           200
panic               key=member              404     404     404     200           200
panic               key=builder             404     404     404     200           200
panic               key=manager             404     404     404     200           200
panic               key=administrator       404     404     404     200           200
panic               key=owner               404     404     404     403           200
panic               key=removed             404     404     404     200           200
panic               key=foreign             404     404     404     404           404
panic               key=elsewhere           404     404     404     404           404
panic               key=absent              404     404     404     404           404
panic               key=malformed           400     400     400     400           400
panic               user=self               200     200     200     200           200
panic               user=member             403     403     403     200           200
panic               user=builder            403     403     403     200           200
panic               user=manager            403     403     403     200           200
panic               user=administrator      403     403     403     200           200
panic               user=owner              403     403     403     403           200
panic               user=service-member     403     403     403     200           200
panic               user=service-owner      403     403     403     403           200
panic               user=removed            403     403     403     200           200
panic               user=foreign            403     403     403     404           404
panic               user=absent             403     403     403     404           404
panic               user=malformed          400     400     400     400           400
panic               run=own@other           403     403     403     403           403
panic               run=own@unknown         403     403     403     403           403
panic               run=own@malformed       400     400     400     400           400

getRunEnvironment   own                     401     200     200     200           200
getRunEnvironment   own-stopped             401     401     401     401           401
getRunEnvironment   own-expired             401     401     401     401           401
getRunEnvironment   own-revoked             401     401     401     401           401
getRunEnvironment   own-orphaned            401     401     401     401           401
getRunEnvironment   key                     401     401     401     401           401
extendRun           own                     401     200     200     200           200
extendRun           own-stopped             401     401     401     401           401
extendRun           own-expired             401     401     401     401           401
extendRun           own-revoked             401     401     401     401           401
extendRun           own-orphaned            401     401     401     401           401
extendRun           key                     401     401     401     401           401
endRun              own                     401     200     200     200           200
endRun              own-stopped             401     401     401     401           401
endRun              own-expired             401     401     401     401           401
endRun              own-revoked             401     401     401     401           401
endRun              own-orphaned            401     401     401     401           401
endRun              key                     401     401     401     401           401
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
panic               key=self                403     403     403     403           200
panic               key=self-revoked        403     403     403     403           200
panic               user=self               403     403     403     403           200
";

/// Rows of [`ROLES`] where nothing is left to do for the lowest role that may,
/// so that doing it for real writes nothing.
pub(super) const DONE_ALREADY: [(&str, &str); 33] = [
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
    ("updateAgent", "ours>same"),
    ("promoteRevision", "ours"),
    ("stopRun", "own-stopped"),
    ("stopRun", "own-expired"),
    ("stopRun", "own-revoked"),
    ("stopRun", "others-stopped"),
    ("panic", "run=own-stopped"),
    ("panic", "run=others-stopped"),
    ("panic", "key=self-revoked"),
    ("panic", "key=removed"),
    ("panic", "agent=deleted"),
    ("panic", "user=removed"),
    ("panic", "user=service-member"),
    ("panic", "user=service-owner"),
];

/// A comparison tells more than that it could be made, so it is recorded even
/// when it was only to be tried; and values never leave without a record.
pub(super) const ALWAYS_RECORDED: [&str; 2] = ["compareSecrets", "getRunEnvironment"];

/// What a run's token is for.
pub(super) const BY_RUN: [&str; 3] = ["getRunEnvironment", "extendRun", "endRun"];

/// What a run's token is for beside a key.
pub(super) const BY_ASKER: [&str; 2] = ["createFillRequest", "getFillRequest"];

/// What a key must be for: one scope (`|`: or the other; `!`: and it must lack
/// none), and an object that an owner may do it to. `any`: any key will do. `link`: a key link, and no key. `run`: a
/// run's token, and no key. `open`: nothing at all.
pub(super) const SCOPES: &str = "
operation           scope           object

health              open            ours
readiness           open            ours
getVerifierKeys     open            ours
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
getSecretPolicy     secrets:read    own
setSecretPolicy     secrets:write   own
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
getTeamKeys         team:read|admin ours
rotateTeamKey       admin           ours
listEvents          team:read|admin ours
exportEvents        team:read|admin ours
proveEvent          team:read|admin shared
getCheckpoint       team:read|admin ours
proveConsistency    team:read|admin ours
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
createFillRequest   secrets:write   own
listFillRequests    secrets:read    ours
getFillRequest      secrets:read    own
cancelFillRequest   secrets:write   own
createAgent         secrets:write   new
listAgents          secrets:read    ours
getAgent            secrets:read    ours
updateAgent         secrets:write   ours
deleteAgent         secrets:write   ours
createRevision      secrets:write   ours
listRevisions       secrets:read    ours
getRevision         secrets:read    ours
promoteRevision     secrets:write   later
listRevisionSecrets secrets:read    ours
listRevisionSecretsV1 secrets:read  ours
attachRevisionSecret secrets:write  own
attachRevisionSecretV1 secrets:write own
detachRevisionSecret secrets:write  own
detachRevisionSecretV1 secrets:write own
previewEnvironment  secrets:read    ours
startRun            runs:start      ours
listRuns            secrets:read    ours
getRun              secrets:read    own
stopRun             secrets:write   own
listDeliveries      secrets:read    own
listRunRequests     secrets:read    own
listSecretRuns      secrets:read    own
panic               admin           run=own
getRunEnvironment   run             own
extendRun           run             own
endRun              run             own
";
